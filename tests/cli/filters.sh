#!/bin/bash
# Conditions and the small steps, beside grep, gawk and Miller on the same data.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for tool in gawk mawk mlr jq; do
    command -v "$tool" >/dev/null || {
        echo "FAIL $tool is not installed: ./dev setup"
        exit 1
    }
done

# text COUNT: lines of words, some not ASCII, some not UTF-8, some empty, some long.
text() {
    LC_ALL=C gawk -v n="$1" 'BEGIN {
        srand(5)
        count = split("error Error warn login token user=42 user=7 GET POST /api/v1 /api/v2 aaaa " \
            "\xc3\xa4pfel \xc3\x84pfel \xe2\x82\xac \xff\xfe 10.0.0.1 [x] a.b* \\d $", words, " ")
        for (i = 0; i < n; i++) {
            line = ""
            parts = rand() < 0.05 ? 0 : rand() < 0.02 ? 400 : int(rand() * 12)
            for (p = 0; p < parts; p++)
                line = line (p ? " " : "") words[1 + int(rand() * count)]
            print line
        }
    }'
}

# pipeline STEPS [FORMAT]: from in.txt through these steps to out.txt.
pipeline() {
    cat >pipeline.yaml <<YAML
name: filters
source: { file: { paths: in.txt } }
processor:
  steps:
$1
batcher: { sink: { file: { path: out.txt, format: ${2:-lines}, mode: replace } } }
failed: { sink: { file: { path: failed.ndjson, mode: replace } } }
YAML
}

# The same in threads, in workers in a sandbox, on several lanes; with each way of searching.
# same CODE FILE: out.txt is FILE.
same() {
    local args
    for args in "" "--lanes 3 -s source.concurrency=3 -s source.file.chunk=4KiB" \
        "-s processor.isolation=process -s processor.sandbox=strict -s processor.memory=64MiB"; do
        rm -f out.txt
        # shellcheck disable=SC2086
        run run pipeline.yaml $args
        expect_code "$1"
        cmp -s out.txt "$2" || fail "differs with '$args': $(diff "$2" out.txt | head -3)"
    done
    BELT_ISA=v2 run run pipeline.yaml
    expect_code "$1"
    expect_same out.txt "$2"
}

test_contains_finds_what_grep_finds() {
    local words args want
    text 5000 >in.txt
    for words in error /api/ 'user=42 G' 'äpfel' 'a.b*' r 'error|Error|token' \
        'GET|POST|/api/v1|/api/v2|user=42|user=7|€|[x]|$|login' 'nothing like it|neither this'; do
        args=() want=""
        while read -r word; do
            args+=(-e "$word")
            want+="${want:+, }'$word'"
        done < <(tr '|' '\n' <<<"$words")
        LC_ALL=C grep -aF "${args[@]}" in.txt >want.txt
        pipeline "    - keep: { payload: { contains: [$want] } }"
        same 0 want.txt
    done
}

test_matches_what_grep_matches() {
    local pattern
    text 3000 >in.txt
    for pattern in 'error' '^error' 'token$' '^$' '\buser=\d+\b' '(GET|POST) /api/v[12]' \
        '[a-d]{4}' '(?i)ERROR' '^(?!.*error)' '(\w+) \1' '\d+\.\d+\.\d+\.\d+' '\$$' \
        '^.{100,}$' '[^ -~]' 'a|' '(?<=user=)7'; do
        LC_ALL=C grep -aP -- "$pattern" in.txt >want.txt
        pipeline "    - keep: { payload: { matches: '$pattern' } }"
        same 0 want.txt
    done
}

test_ignores_case_as_grep_does() {
    text 3000 >in.txt
    LC_ALL=C grep -aiF -e 'ErRoR' -e 'A.B*' in.txt >want.txt
    pipeline "    - keep: { payload: { contains: ['ErRoR', 'A.B*'], ignore_case: true } }"
    same 0 want.txt
    LC_ALL=C grep -aiP '^(get|post) ' in.txt >want.txt
    pipeline "    - keep: { payload: { matches: '^(get|post) ', ignore_case: true } }"
    same 0 want.txt
}

# grep passes over lines that are no UTF-8, so they are taken out for it.
test_utf8_characters_as_grep_has_them() {
    local pattern
    text 3000 >all.txt
    LC_ALL=C.UTF-8 grep -ax '.*' all.txt >in.txt
    (($(wc -l <in.txt) < $(wc -l <all.txt))) || fail "all lines are UTF-8"
    for pattern in '^.{5}$' '\p{Lu}pfel' '(?i)Äpfel' '(?<!\S)äpfel(?!\S)' '[€-₿]'; do
        LC_ALL=C.UTF-8 grep -aP -- "$pattern" in.txt >want.txt
        [[ -s want.txt ]] || fail "nothing has $pattern"
        for utf in fail keep; do
            pipeline "    - keep: { payload: { matches: '$pattern', utf: $utf } }"
            same 0 want.txt
        done
    done
    cp all.txt in.txt
    LC_ALL=C.UTF-8 grep -ax '.*' all.txt | grep -a error >want.txt
    pipeline "    - keep: { payload: { matches: error, utf: fail } }"
    same 1 want.txt
    (($(wc -l <failed.ndjson) == $(LC_ALL=C.UTF-8 grep -avxc '.*' all.txt))) ||
        fail "not all failed"
}

# "ID;PRICE;SHARE;AT;MS;NAME", with prices and times that tests of order differ about.
numbers() {
    gawk -v n="$1" 'BEGIN {
        srand(9)
        for (i = 0; i < n; i++) {
            t = int(rand() * 4e9) - 1e9
            zone = int(rand() * 24) - 12
            at = strftime("%Y-%m-%dT%H:%M:%S", t + zone * 3600, 1)
            printf "%d;%s%d.%02d;%.17g;%s%s%02d:00;%d;n%d\n", i, rand() < 0.3 ? "-" : "",
                rand() * 300, rand() * 100, rand() < 0.1 ? 0.5 : rand() * 2 - 0.5, at,
                zone < 0 ? "-" : "+", zone < 0 ? -zone : zone, t * 1000 + 7, rand() * 50
        }
    }'
}

fields='    - split: { delimiter: ";", into: { id: int, price: decimal(2), share: float, at: text,
                ms: int, name: text } }'

test_numbers_in_ranges_as_gawk_has_them() {
    numbers 5000 >in.txt
    pipeline "$fields
    - keep: { id: { from: 17, below: 4711 }, price: { above: -0.10, to: 150.05 },
              share: { from: 0.5 } }"
    gawk -F';' '{ p = $2; cents = gensub(/[.]/, "", 1, p) + 0 }
        $1 >= 17 && $1 < 4711 && cents > -10 && cents <= 15005 && $3 >= 0.5' in.txt >want.txt
    [[ -s want.txt ]] || fail "nothing is wanted"
    same 0 want.txt
}

test_two_fields_as_gawk_compares_them() {
    numbers 5000 >in.txt
    pipeline "$fields
    - keep: { any: [ { price: { above: { field: id } } }, { name: { from: { field: at } } } ] }"
    LC_ALL=C gawk -F';' '$2 + 0 > $1 + 0 || $6 "" >= $4 ""' in.txt >want.txt
    same 0 want.txt
    pipeline "$fields
    - keep: { price: { above: { field: id } } }"
    gawk -F';' '$2 + 0 > $1 + 0' in.txt >want.txt
    [[ -s want.txt ]] || fail "nothing is wanted"
    same 0 want.txt
}

# seconds "AT": what gawk makes of RFC 3339, without the C library's time zones.
gawk_seconds='function seconds(at,   zone, t) {
        zone = substr(at, 21, 2) * 3600 * (substr(at, 20, 1) == "-" ? -1 : 1)
        t = substr(at, 1, 19)
        gsub(/[-:T]/, " ", t)
        return mktime(t, 1) - zone
    }'

test_times_in_ranges_as_gawk_has_them() {
    numbers 5000 >in.txt
    gawk -F';' "$gawk_seconds"'{ t = seconds($4) } t >= 315532800 && t < 1769904000' \
        in.txt >want.txt
    [[ -s want.txt ]] || fail "nothing is wanted"
    pipeline "$fields
    - keep: { at: { since: 1980-01-01, until: 2026-02-01T00:00:00Z } }"
    same 0 want.txt
    pipeline "$fields
    - keep: { ms: { since: 1980-01-01, until: 2026-02-01T00:00:00Z, time: milliseconds } }"
    same 0 want.txt
}

test_the_last_minutes() {
    local now
    now=$(date +%s)
    for ago in 7200 3700 3500 60 -60; do
        date -u -d "@$((now - ago))" +%Y-%m-%dT%H:%M:%SZ
    done >in.txt
    tail -3 in.txt >want.txt
    pipeline "    - keep: { payload: { last: 1h } }"
    same 0 want.txt
}

test_time_step_as_gawk_computes() {
    numbers 3000 >in.txt
    pipeline "$fields
    - time: { from: at, into: seconds, to: seconds }
    - time: { from: ms, format: milliseconds, into: day, to: '%a %d %b %Y %H:%M:%S' }
    - time: { from: ms, format: milliseconds, into: hour, to: '%F %R', floor: 6h }" \
        "{ csv: { columns: [seconds, day, hour], header: false } }"
    gawk -F';' "$gawk_seconds"'{
        s = ($5 - 7) / 1000
        h = s - s % 21600 - (s % 21600 < 0 ? 21600 : 0)
        print seconds($4) "," strftime("%a %d %b %Y %H:%M:%S", s, 1) "," strftime("%F %R", h, 1)
    }' in.txt >want.txt
    same 0 want.txt
}

test_match_takes_apart_what_gawk_does() {
    "$BELTWAY" generate lines --rows=5000 >in.txt
    pipeline "    - match:
        pattern: '^(?<at>\\S+) level=(?<level>\\w+) .* status=(?<status>\\d+)
          duration_ms=(?<ms>\\d+) .*user=u(?<user>\\d+)'
        into: { status: int, ms: int }
    - keep: { ms: { below: 200 } }" \
        "{ csv: { columns: [at, level, status, ms, user], header: false } }"
    gawk 'match($0, "^([^ ]+) level=([a-z]+) .* status=([0-9]+)" \
            " duration_ms=([0-9]+) .*user=u([0-9]+)", m) &&
        m[4] < 200 { print m[1] "," m[2] "," m[3] "," m[4] "," m[5] }' in.txt >want.txt
    [[ -s want.txt ]] || fail "nothing is wanted"
    same 0 want.txt
}

test_match_fails_drops_or_keeps() {
    printf '%s\n' 'a=1' 'none' 'b=x' >in.txt
    for way in 'fail 1 a,1' 'drop 1 a,1' 'keep 1 a,1 ,0'; do
        set -- $way
        printf '%s\n' "${@:3}" >want.txt
        pipeline "    - match: { pattern: '^(?<k>\w)=(?<n>\w)', into: { n: int }, else: $1 }" \
            "{ csv: { columns: [k, n], header: false } }"
        same "$2" want.txt
        jq -e 'select(.reason == "n: '"'x'"' is not an int")' failed.ndjson >/dev/null ||
            fail "$(cat failed.ndjson)"
    done
}

test_rename_as_miller_does() {
    { echo 'id,price,name'; numbers 2000 | gawk -F';' -v OFS=, '{ print $1, $2, $6 }'; } >rows.csv
    tail -n +2 rows.csv >in.txt
    pipeline "    - split: { into: { id: int, price: decimal(2), name: text } }
    - rename: { name: id_of, price: cost }
    - rename: { id_of: who }
    - keep: { who: [n1, n2, n3] }" "{ csv: { columns: [id, cost, who] } }"
    mlr -S --icsv --ocsv rename name,who,price,cost then \
        filter '$who == "n1" || $who == "n2" || $who == "n3"' rows.csv >want.txt
    # A price without cents is one with: -0.00 is 0.00.
    sed -i 's/,-0\.00,/,0.00,/' want.txt
    same 0 want.txt
    pipeline "    - split: { into: { id: int, price: decimal(2), name: text } }
    - rename: { name: who }
    - keep: { name: n1 }"
    run validate pipeline.yaml
    expect_code 78
    expect_err "no field 'name' here"
}

test_a_renamed_fields_name_is_free() {
    seq 5 >in.txt
    pipeline "    - split: { into: { n: text } }
    - rename: { n: old }
    - render: { template: 'new {old}', into: n }" "{ csv: { columns: [old, n], header: false } }"
    sed 's/.*/&,new &/' in.txt >want.txt
    same 0 want.txt
}

test_sample_by_position_as_mawk_counts() {
    seq 10000 >in.txt
    mawk 'NR % 7 == 1' in.txt >want.txt
    pipeline "    - sample: 7"
    run run pipeline.yaml -s source.concurrency=1 -s processor.concurrency=1
    expect_code 0
    expect_same want.txt out.txt
    pipeline "    - sample: { rate: 0.3 }"
    run run pipeline.yaml -s source.concurrency=1 -s processor.concurrency=1
    mawk 'int(NR * 3 / 10) > int((NR - 1) * 3 / 10)' in.txt >want.txt
    expect_same want.txt out.txt
}

test_sample_by_value_keeps_values_whole() {
    mawk 'BEGIN { for (i = 0; i < 20000; i++) print "user" i % 1000 "," i }' >in.txt
    pipeline "    - split: { into: { user: text, n: int } }
    - sample: { rate: 0.25, by: user, seed: 3 }"
    run run pipeline.yaml
    expect_code 0
    cut -d, -f1 out.txt | sort | uniq -c | awk '$1 != 20 { exit 1 }' || fail "a value is split"
    local values
    values=$(cut -d, -f1 out.txt | sort -u | wc -l)
    ((values > 180 && values < 320)) || fail "$values of 1000 values"
    cp out.txt want.txt
    same 0 want.txt
}

# Each such line fails, with its place, and no other one; soon.
test_render_quotes_as_jq_does() {
    text 2000 >all.txt
    # Some versions of jq leave the star as it is.
    LC_ALL=C.UTF-8 grep -ax '[^*]*' all.txt >in.txt
    pipeline "    - render: '{payload:json} {payload:url} {payload:upper:trim|empty}'"
    LC_ALL=C.UTF-8 jq -Rr '"\(tojson) \(@uri) \(ascii_upcase | sub("^ +"; "") |
        if . == "" then "empty" else . end)"' in.txt >want.txt
    same 0 want.txt
    # Bytes that are no UTF-8 become U+FFFD: what is written is JSON.
    cp all.txt in.txt
    pipeline "    - render: '{payload:json}'"
    run run pipeline.yaml
    expect_code 0
    jq -e . out.txt >/dev/null || fail "no JSON"
    (($(wc -l <out.txt) == $(wc -l <all.txt))) || fail "$(wc -l <out.txt) lines"
}

test_render_writes_numbers_as_gawk_does() {
    numbers 3000 >in.txt
    pipeline "$fields
    - render: '{id:06} {id:>9} {name:<5}| {share:.3} {price:.3}'"
    gawk -F';' '{ sub(/^-0[.]00$/, "0.00", $2); x = sprintf("%.3f", $3)
        printf "%06d %9d %-5s| %s %s0\n", $1, $1, $6, x == "-0.000" ? "0.000" : x, $2 }' \
        in.txt >want.txt
    same 0 want.txt
}

test_render_quotes_csv_that_miller_reads() {
    "$BELTWAY" generate lines --rows=500 >in.txt
    pipeline "    - match: '^(?<at>\\S+) .*msg=(?<msg>.*)\$'
    - render: '{at:csv},{msg:csv},{payload:csv}'"
    run run pipeline.yaml
    expect_code 0
    { echo at,msg,line; cat out.txt; } >got.csv
    mlr --icsv --ojsonl cut -f line got.csv | jq -r .line >got.txt
    expect_same in.txt got.txt
}

test_a_pattern_without_end_fails_its_messages() {
    local evil
    evil=$(printf 'a%.0s' {1..60})
    printf '%s\n' aaa "$evil!" b "$evil" "$evil?" >in.txt
    printf '%s\n' aaa "$evil" >want.txt
    pipeline "    - keep: { payload: { matches: '^(a+)+\$' } }"
    SECONDS=0
    same 1 want.txt
    ((SECONDS < 60)) || fail "took $SECONDS s"
    local reason='payload: the pattern at pipeline.yaml:5:35 gave up after 100000 steps back'
    (($(jq -r .reason failed.ndjson | grep -cxF "$reason") == 2)) || fail "$(cat failed.ndjson)"
    expect_err "in.txt:2: $reason"
    expect_err "in.txt:5: $reason"
}

test_bad_patterns_are_refused_with_their_place() {
    seq 1 >in.txt
    pipeline "    - keep: { payload: { matches: 'a(b' } }"
    run validate pipeline.yaml
    expect_code 78
    expect_err 'pipeline.yaml:5:35: bad pattern at its byte 3: missing closing parenthesis'
    [[ ! -e out.txt ]] || fail "something was opened"
}

test_route_by_pattern() {
    text 2000 >in.txt
    LC_ALL=C grep -aP '^(GET|POST)' in.txt >want.txt
    LC_ALL=C grep -avP '^(GET|POST)' in.txt >rest.want
    cat >pipeline.yaml <<'YAML'
name: route
source: { file: { paths: in.txt } }
processor:
  steps:
    - route: { when: [ { if: { payload: { matches: '^(GET|POST)' } }, to: hits } ], else: rest }
batchers:
  hits: { sink: { file: { path: out.txt, mode: replace } } }
  rest: { sink: { file: { path: rest.txt, mode: replace } } }
YAML
    same 0 want.txt
    expect_same rest.want rest.txt
}

# Every sample of docs/steps.md that is a list of steps.
test_documented_steps_are_valid() {
    local count=0 sample
    perl -0ne 'my $i = 0; while (/^```yaml\n(steps:\n.*?)^```/gms) {
        open my $out, ">", "sample." . $i++ or die; print $out $1 }' "$SOURCE_DIR/docs/steps.md"
    for sample in sample.*; do
        { printf 'name: sample\nsource: { file: { paths: in.txt } }\nprocessor:\n'
            sed 's/^/  /' "$sample"
            printf 'batcher: { sink: "null" }\n'; } >pipeline.yaml
        run validate pipeline.yaml
        ((code == 0)) || fail "$(cat "$sample")"
        count=$((count + 1))
    done
    ((count >= 5)) || fail "only $count samples"
}

test_example_of_requests() {
    local example=$SOURCE_DIR/examples/requests
    cp "$example/access.log" "$example/pipeline.yaml" .
    bash "$example/check.sh" access.log >want.csv
    expect_same want.csv "$example/expected.csv"
    for args in "" "--lanes 1" "-s processor.isolation=process"; do
        # shellcheck disable=SC2086
        run run pipeline.yaml $args
        expect_code 1
        expect_err 'access.log:201: payload: the pattern at pipeline.yaml:7:18 finds nothing'
        tail -n +2 requests.csv | LC_ALL=C sort >got.csv
        expect_same want.csv got.csv
    done
}

run_tests "$@"
