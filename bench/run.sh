#!/bin/bash
# bench/run.sh [WORD..] [--benchmark_..]: measures everything, or what has one of
# the words in its name, and prints tables; all samples: BUILD/bench/report.json.
# What the names mean: bench/README.md.
#
#   --json FILE      the samples to FILE, too
#   --plot DIR       one picture for each table of the rings, DIR/rings-TABLE.svg
#   --smoke          rings only, one short sample each: that they move what they should
#
#   BUILD=build      a configured build folder
#   ROWS=100000000   rows of sensors.txt; the rare-key files have a fifth of that
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BUILD=${BUILD:-build}
ROWS=${ROWS:-100000000}
NAMES=413
FEWEST=50000                # a fifth of it is one round of the rare key
LONGEST=300                 # seconds that one process may take
cli_names=(cli/sensors/rate cli/sensors/wall cli/sensors/pss cli/sensors/hwm cli/idle/cpu)

die() {
    printf 'bench: %s\n' "$*" >&2
    exit 1
}

tell() {
    printf 'bench: %s\n' "$*" >&2
}

# ---- what to run ---------------------------------------------------------------

# Sets filter, repetitions, list, json, plot, smoke and flags (for belt-bench).
read_arguments() {
    local arg words=()
    filter='' repetitions=5 list='' json='' plot='' smoke='' flags=()
    while (($#)); do
        arg=$1
        shift
        case $arg in
        --json | --plot)
            (($#)) || die "$arg NAME"
            set -- "$arg=$1" "${@:2}"
            ;;
        --json=*) json=$(realpath -m -- "${arg#*=}") ;;
        --plot=*) plot=$(realpath -m -- "${arg#*=}") ;;
        --smoke) smoke=1 ;;
        --benchmark_filter=*) words+=("${arg#*=}") ;;
        --benchmark_repetitions=*) repetitions=${arg#*=} ;;
        --benchmark_list_tests*) list=1 ;;
        --benchmark_out*) die "$arg: the samples are in $BUILD/bench/report.json" ;;
        -*) flags+=("$arg") ;;
        *) words+=("$arg") ;;
        esac
    done
    ((${#words[@]})) && filter=$(IFS='|'; printf '%s' "${words[*]}")
    [[ $repetitions =~ ^[1-9][0-9]*$ ]] || die "--benchmark_repetitions=N, not '$repetitions'"
    [[ $ROWS =~ ^[1-9][0-9]*$ ]] || die "ROWS=N, not '$ROWS'"
    ((ROWS >= FEWEST)) || die "ROWS=N, at least $FEWEST"
}

ring_names() {
    "$BUILD/belt-bench-rings" --list --filter="${filter:-.}"
}

# All names of belt-bench that the filter takes, whether their data are there or not.
bench_names() {
    BELT_BROADWAY_LINES=/dev/null BELT_SENSORS=/dev/null \
        BELT_RARE_KEY=/dev/null BELT_NO_RARE_KEY=/dev/null \
        "$BUILD/belt-bench" --benchmark_list_tests --benchmark_filter="${filter:-.}" 2>/dev/null |
        grep / || true
}

# wanted NAME..: the filter takes one of these names.
wanted() {
    printf '%s\n' "$@" | grep -qE -- "${filter:-.}"
}

# ---- data ----------------------------------------------------------------------

# A file that was just written reads slower than one that was read back: evict and re-read.
read_back() {
    dd if="$1" of=/dev/null iflag=nocache count=0 status=none
    cat "$1" >/dev/null
}

# keyed_rows RARE: rows of two names; RARE=1: each 10,000th is of a third one.
keyed_rows() {
    awk -v rounds=$((ROWS / 5 / 10000)) -v rare="$1" 'BEGIN {
        random = 1
        for (i = 1; i < 10000; i++) {
            random = (random * 16807) % 2147483647
            block = block (random % 7 < 3 ? "Berlin" : "Bern") ";" \
                    int(random / 7) % 40 "." int(random / 280) % 10 "\n"
        }
        if (rare) block = block "rare;1.5\n"
        for (i = 0; i < rounds; i++) printf "%s", block
    }'
}

# Once for a number of rows. `made` is written last and tells how many.
make_data() {
    [[ $(cat "$data/made" 2>/dev/null) == "$ROWS" ]] && return
    tell "making $data/: sensors.txt, rare.txt, plain.txt"
    rm -f "$data"/{made,sensors.txt,rare.txt,plain.txt}
    "$BUILD/beltway" generate sensors --rows "$ROWS" --names "$NAMES" --seed 1 \
        --out "$data/sensors.txt" 2>/dev/null || die "cannot make $data/sensors.txt"
    keyed_rows 1 >"$data/rare.txt"
    keyed_rows 0 >"$data/plain.txt"
    sync "$data"/{sensors,rare,plain}.txt
    printf '%s\n' "$ROWS" >"$data/made"
}

# The lines of broadway/c1 and c2, from their own generator.
make_lines() {
    [[ $(cat "$data/made_lines" 2>/dev/null) == "$ROWS" ]] && return
    tell "making $data/lines.txt"
    rm -f "$data"/{made_lines,lines.txt}
    "$BUILD/belt-bench-lines" "$ROWS" "$data/lines.txt" || die "cannot make $data/lines.txt"
    sync "$data/lines.txt"
    printf '%s\n' "$ROWS" >"$data/made_lines"
}

# ---- belt-bench ----------------------------------------------------------------

run_belt_bench() {
    local names
    names=$(bench_names)
    [[ $names ]] || return 0
    tell "$(wc -l <<<"$names") benches, $repetitions repetitions each, in random order"
    if grep -qE '^(limit|pipeline/(records|sensors|rare_key)|telemetry/sensors)/' <<<"$names"; then
        make_data
    fi
    if grep -q '^broadway/c' <<<"$names"; then make_lines; fi
    BELT_BROADWAY_LINES=$data/lines.txt BELT_SENSORS=$data/sensors.txt \
        BELT_RARE_KEY=$data/rare.txt BELT_NO_RARE_KEY=$data/plain.txt \
        "$BUILD/belt-bench" --benchmark_repetitions="$repetitions" "${flags[@]}" \
        --benchmark_filter="${filter:-.}" --benchmark_out="$data/belt-bench.json" \
        --benchmark_out_format=json >"$data/belt-bench.log" 2>&1 ||
        die "belt-bench failed: $data/belt-bench.log"
}

# ---- rings ---------------------------------------------------------------------

# Their tables come as they are measured, and stay out of the one at the end.
run_rings() {
    local count rc=0 options=(--filter="${filter:-.}" --json "$data/rings.json")
    count=$(ring_names | wc -l)
    ((count)) || return 0
    tell "$count rings and peers, 9 near samples each, all of a table in turns"
    [[ $plot ]] && options+=(--plot "$plot")
    "$BUILD/belt-bench-rings" "${options[@]}" || rc=$?
    ((rc <= 1)) || die "belt-bench-rings failed: exit code $rc"
    rings_failed=$rc
}

# ---- whole processes -----------------------------------------------------------

# sample NAME UNIT VALUE [BYTES_PER_SECOND]
sample() {
    jq -cn --arg name "$1" --arg unit "$2" --argjson value "$3" --argjson bytes "${4:-null}" \
        '{name: $name, run_type: "iteration", unit: $unit, value: $value} +
         if $bytes then {bytes_per_second: $bytes} else {} end' >>"$data/cli.ndjson"
}

# broken MESSAGE NAME..: samples that failed; the table says so.
broken() {
    local name message=$1
    shift
    for name in "$@"; do
        jq -cn --arg name "$name" --arg message "$message" '{name: $name,
            run_type: "iteration", error_occurred: true, error_message: $message}' \
            >>"$data/cli.ndjson"
    done
}

# become_sensors INPUT [COMMAND..]: the CLI on the example's pipeline, in place of a subshell.
become_sensors() {
    exec "${@:2}" "$BUILD/beltway" run examples/sensors/pipeline.yaml --quiet --progress=never \
        -s source.file.paths="$1" -s batchers.totals.sink.file.path="$data/totals.csv" \
        -s failed.sink.file.path="$data/failed.ndjson" --report "$data/cli.json"
}

# wrong_sensors CODE: what is wrong with a run, or nothing: its exit code, the report's
# counts, and the result: every row is in some sensor's count.
wrong_sensors() {
    if (($1)); then
        printf 'exit code %s' "$1"
    elif ! jq -e --argjson rows "$ROWS" '.complete and .done == $rows and .failed == 0' \
        "$data/cli.json" >/dev/null; then
        printf 'not all rows were done: %s' "$data/cli.json"
    elif ! awk -F, -v rows="$ROWS" -v names="$NAMES" 'NR > 1 { sum += $NF }
        END { exit !(NR == names + 1 && sum == rows) }' "$data/totals.csv"; then
        printf 'wrong counts: %s' "$data/totals.csv"
    fi
}

micros() {
    printf '%s' "${EPOCHREALTIME/[.,]/}"
}

time_sensors() {
    local start end bytes figures wrong rate wall wall_bytes rc=0
    bytes=$(stat -c %s "$data/sensors.txt")
    start=$(micros)
    (become_sensors "$data/sensors.txt" timeout "$LONGEST") || rc=$?
    end=$(micros)
    wrong=$(wrong_sensors "$rc")
    if [[ $wrong ]]; then
        broken "$wrong" "${cli_names[@]:0:2}"
        return
    fi
    figures=$(jq -r --argjson us $((end - start)) --argjson bytes "$bytes" '
        [.received * 1e9 / .elapsed_ns, $bytes * 1e9 / .elapsed_ns,
         .received * 1e6 / $us, $bytes * 1e6 / $us] | map(tostring) | join(" ")' "$data/cli.json")
    read -r rate bytes wall wall_bytes <<<"$figures"
    sample cli/sensors/rate /s "$rate" "$bytes"
    sample cli/sensors/wall /s "$wall" "$wall_bytes"
}

# look PID: one look into /proc, no fork; false when the process has ended. Raises
# pss and hwm (kB). PSS has transparent huge pages in it, those of hugetlbfs are added.
look() {
    local key value now=0 found=
    while read -r key value _; do
        case $key in
        Pss:) found=1 now=$((now + value)) ;;
        Shared_Hugetlb: | Private_Hugetlb:) now=$((now + value)) ;;
        esac
    done 2>/dev/null <"/proc/$1/smaps_rollup" || return 1
    while read -r key value _; do
        if [[ $key == VmHWM: ]] && ((value > hwm)); then hwm=$value; fi
    done 2>/dev/null <"/proc/$1/status" || return 1
    ((now > pss)) && pss=$now
    [[ $found ]]
}

# finish PID SECONDS: waits so long, then kills it; sets `code` to its exit code.
finish() {
    local until=$((SECONDS + $2))
    while kill -0 "$1" 2>/dev/null && ((SECONDS <= until)); do sleep 0.1; done
    kill -KILL "$1" 2>/dev/null || true
    code=0
    wait "$1" || code=$?
}

# On runs of their own: a look holds the memory map's lock.
weigh_sensors() {
    local pid wrong code pss=0 hwm=0 until=$((SECONDS + LONGEST))
    (become_sensors "$data/sensors.txt") &
    pid=$!
    while ((SECONDS <= until)) && { look "$pid"; } 2>/dev/null; do
        read -r -t 0.005 -u "$never" || true
    done
    finish "$pid" 10
    wrong=$(wrong_sensors "$code")
    [[ $wrong ]] || ((pss)) || wrong='over before a look into its memory; raise ROWS'
    if [[ $wrong ]]; then
        broken "$wrong" "${cli_names[@]:2:2}"
        return
    fi
    sample cli/sensors/pss MiB "$(awk "BEGIN { print $pss / 1024 }")"
    sample cli/sensors/hwm MiB "$(awk "BEGIN { print $hwm / 1024 }")"
}

# cpu_ns PID: CPU time of all threads. /proc/PID/stat counts ticks: 0.2 % of 5 s each.
cpu_ns() {
    local stats=("/proc/$1/task/"*/schedstat)
    if [[ -r ${stats[0]} ]]; then
        awk '{ sum += $1 } END { printf "%.0f", sum }' "${stats[@]}"
    else
        sed 's/.*) //' "/proc/$1/stat" |
            awk -v hz="$(getconf CLK_TCK)" '{ printf "%.0f", ($12 + $13) * 1e9 / hz }'
    fi
}

# Standard input is open and nothing ever comes; closing it ends the run.
watch_idle() {
    local pid start ns later share code
    (become_sensors - <"$data/never" {never}>&-) &
    pid=$!
    sleep 1
    ns=$(cpu_ns "$pid") start=$(micros)
    sleep 5
    later=$(cpu_ns "$pid")
    share=$(awk "BEGIN { print ($later - $ns) / ($(micros) - $start) / 10 }")
    exec {never}>&-
    finish "$pid" 10
    if ((code)); then broken "exit code $code" cli/idle/cpu; else sample cli/idle/cpu % "$share"; fi
}

run_cli() {
    local i
    rm -f "$data/cli.ndjson" "$data/never"
    wanted "${cli_names[@]}" || return 0
    tell "the CLI as a process, $repetitions runs each"
    mkfifo "$data/never"
    exec {never}<>"$data/never"
    if wanted "${cli_names[@]:0:4}"; then
        make_data
        read_back "$data/sensors.txt"
    fi
    if wanted "${cli_names[@]:0:2}"; then
        for ((i = 0; i < repetitions; i++)); do time_sensors; done
    fi
    if wanted "${cli_names[@]:2:2}"; then
        for ((i = 0; i < repetitions; i++)); do weigh_sensors; done
    fi
    if wanted cli/idle/cpu; then watch_idle; fi
}

# ---- the table -----------------------------------------------------------------

# One object a name, medians over all its samples; with the rare key against without.
# shellcheck disable=SC2016 # $ is jq's
summarize='
def median: sort | length as $n |
    if $n == 0 then null
    elif $n % 2 == 1 then .[($n - 1) / 2]
    else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
def figure: if .unit then {unit, value}
    elif (.items_per_second // 0) > 0 then {unit: "/s", value: .items_per_second}
    else {unit: "B/s", value: .bytes_per_second} end;
def nearness: map(.label // empty) | length as $n | (map(select(. == "near")) | length) as $near |
    if $n == 0 then "-" elif $near == $n then "near"
    elif $near == 0 and all(.[]; . == "disturbed" or . == "one core") then .[0]
    elif $near == 0 then "far" else "near \($near)/\($n)" end;
def of($name): map(select(.name == $name and .median)) | .[0].median;
def near_rings: if (.[0].short // "" | startswith("rings/")) and any(.[]; .label == "near")
    then map(select(.label == "near")) else . end;
def row: . as $all | map(select(.error_occurred | not)) | near_rings | {
    name: $all[0].short, runs: length, unit: (map(figure.unit) | .[0]),
    median: (map(figure.value) | median), least: (map(figure.value) | min),
    most: (map(figure.value) | max),
    bytes: (map(.bytes_per_second // 0 | select(. > 0)) | median), nearness: nearness,
    error: ($all | map(.error_message // empty) | .[0]) };
def quantiles: ., (("p50_us", "p99_us", "p99_9_us", "most_us") as $q | select(.[$q]) |
    .short += "/" + ($q | rtrimstr("_us")) | .unit = "us" | .value = .[$q]);
.summary = ([.benchmarks[] | select(.run_type == "iteration") |
        .short = (.name | sub("/iterations:.*"; "")) | quantiles] | group_by(.short) | map(row)) |
.summary += (.summary | [of("pipeline/rare_key/with"), of("pipeline/rare_key/without")] |
    if all then [{name: "pipeline/rare_key/with:without", unit: "x", median: (.[0] / .[1])}]
    else [] end)'

# shellcheck disable=SC2016
# Scaled: median, its unit, GB/s, near or far, [least..most], runs.
show='
def scale: if .unit == "/s" then {by: 1e6, to: "M/s"} elif .unit == "B/s" then {by: 1e9, to: "GB/s"}
    else {by: 1, to: .unit} end;
.summary[] | select(.name | startswith("rings/") | not) | scale as $s |
[.name, (.median // 0) / $s.by, $s.to, if .bytes then .bytes / 1e9 else "-" end,
 .nearness // "-", (.least // 0) / $s.by, (.most // 0) / $s.by, .runs // 0, .error // ""] | @tsv'

print_table() {
    local cpu
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    printf '%s, %s CPUs, Linux %s, load %s before\n' "${cpu:-$(uname -m)}" "$(nproc)" \
        "$(uname -r)" "$load"
    jq -r "$show" "$data/report.json" | awk -F'\t' '
        function figure(v) { return v == "-" ? v : sprintf(v < 10 ? "%.2f" : "%.1f", v) }
        BEGIN { form = "%-32s %9s %-5s %7s  %-10s %-18s %4s\n"
                printf form, "name", "median", "", "GB/s", "distance", "min..max", "runs" }
        $9 != "" { printf "%-32s FAILED: %s\n", $1, $9; failed = 1; next }
        { spread = $8 ? "[" figure($6) ".." figure($7) "]" : "-"
          printf form, $1, figure($2), $3, figure($4), $5, spread, $8 ? $8 : "-" }
        END { exit failed }'
}

make_report() {
    local parts=()
    [[ -f $data/belt-bench.json ]] && parts+=("$data/belt-bench.json")
    [[ -f $data/rings.json ]] && parts+=("$data/rings.json")
    [[ -f $data/cli.ndjson ]] && parts+=("$data/cli.ndjson")
    ((${#parts[@]})) || die "nothing is named like '$filter'; see bench/README.md"
    jq -s --argjson rows "$ROWS" '{context: (map(.context // empty) | .[0]), rows: $rows,
        benchmarks: map(.benchmarks // [select(.name)] | .[])} | '"$summarize" \
        "${parts[@]}" >"$data/report.json"
    if [[ $json ]]; then cp -- "$data/report.json" "$json"; fi
}

read_arguments "$@"
[[ -f $BUILD/build.ninja ]] || die "no $BUILD/build.ninja; ./dev build makes it"
BUILD=$(realpath "$BUILD")
data=$BUILD/bench
load=$(cut -d' ' -f1 /proc/loadavg)
built=$(ninja --quiet -C "$BUILD" product belt-bench belt-bench-lines \
    belt-bench-rings 2>&1) || die "$built"
if [[ $smoke ]]; then
    exec "$BUILD/belt-bench-rings" --smoke --filter="${filter:-.}"
fi
if [[ $list ]]; then
    ring_names
    bench_names
    printf '%s\n' "${cli_names[@]}" | grep -E -- "${filter:-.}" || true
    exit
fi
mkdir -p "$data"
rm -f "$data/belt-bench.json" "$data/rings.json"
rings_failed=0
run_rings
run_belt_bench
run_cli
make_report
if jq -e 'any(.summary[]; .name | startswith("rings/") | not)' "$data/report.json" >/dev/null; then
    print_table
fi
exit "$rings_failed"
