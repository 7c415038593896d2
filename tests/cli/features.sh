#!/bin/bash
# What a pipeline can be told without a line of C: each feature from YAML and by -s.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# rows COUNT: "KEY;NUMBER", seven keys in turn, in in.txt.
rows() {
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print "k" i % 7 ";" i }' >in.txt
}

# From in.txt to out.txt.
plain() {
    cat >plain.yaml <<'YAML'
name: plain
source: { file: { paths: in.txt } }
processor: { steps: [ split: { delimiter: ";", into: { key: text, n: int } } ] }
batcher: { sink: { file: { path: out.txt } } }
YAML
}

# What every processor of a pipeline of several may begin with.
split='split: { delimiter: ";", into: { key: text, n: int } }'

# nested PATH=VALUE: as a map in YAML.
nested() {
    local path=${1%%=*} value=${1#*=}
    while [[ $path == *.* ]]; do
        value="{ ${path##*.}: $value }"
        path=${path%.*}
    done
    printf '%s: %s\n' "$path" "$value"
}

# both CODE CHECK PATH=VALUE...: plain.yaml with these settings, by -s and as YAML laid over
# it; each time it ends with this exit code, and CHECK holds.
both() {
    local want=$1 check=$2 setting n=0 sets=() files=()
    shift 2
    for setting; do
        nested "$setting" >with.$((++n)).yaml
        sets+=(-s "$setting")
        files+=(--with with.$n.yaml)
    done
    for how in sets files; do
        local -n args=$how
        rm -rf out.txt out failed.ndjson report.json
        mkdir out
        run run plain.yaml --report report.json "${args[@]}"
        expect_code "$want"
        "$check"
    done
}

# report FILTER: holds for the report, where jq is at hand.
report() {
    command -v jq >/dev/null || return 0
    jq -e "$1" report.json >/dev/null || fail "not so: $1: $(head -c 800 report.json)"
}

# All rows arrived once, whatever their order.
all_rows() {
    expect_same <(sort in.txt) <(sort out.txt)
}

# The same in order.
all_in_order() {
    expect_same in.txt out.txt
}

# Rows of each key are in order, in a file of their own.
each_key_in_order() {
    local key
    for key in k0 k1 k2 k3 k4 k5 k6; do
        expect_same <(grep "^$key;" in.txt) "out/$key.txt"
    done
}

# ---- sources -------------------------------------------------------------------

test_several_sources() {
    rows 100
    plain
    sed -i '/^source:/d' plain.yaml
    twice() { expect_same <(sort in.txt in.txt) <(sort out.txt); }
    both 0 twice 'sources.a={ file: { paths: in.txt } }' \
        'sources.b={ file: { paths: in.txt }, window: 64 }' batcher.order=any
}

test_a_source_with_steps_of_its_own() {
    rows 100
    plain
    sed -i '/^source:/d' plain.yaml
    one_is_filtered() { expect_same <({ cat in.txt; grep '^k3' in.txt; } | sort) <(sort out.txt); }
    both 0 one_is_filtered 'sources.all={ file: { paths: in.txt } }' \
        'sources.some={ file: { paths: in.txt } }' \
        'sources.some.transform=[ keep: { payload: { starts_with: k3 } } ]' \
        batcher.order=any
}

test_rate() {
    rows 200
    plain
    slowly() { report '.received == 200 and .elapsed_ns > 380000000'; }
    both 0 slowly 'source.rate={ messages: 500, per: 1s, burst: 1 }'
}

test_demand() {
    rows 2000
    plain
    both 0 all_in_order source.max_demand=10 source.min_demand=5 source.concurrency=1
    run validate plain.yaml -s source.max_demand=10 -s source.min_demand=10
    expect_code 78
    expect_err "'min_demand' of source must be below max_demand"
}

test_a_source_that_cannot_be_restarted_says_so() {
    rows 1
    plain
    run validate plain.yaml -s source.restart=3
    expect_code 78
    expect_err 'a source of file cannot be set up again'
}

# ---- processors -------------------------------------------------------------------

test_chained_processors() {
    rows 1000
    plain
    sed -i '/^processor:/d' plain.yaml
    filtered() { expect_same <(grep '^k3' in.txt) out.txt; }
    both 0 filtered "processors.parse={ steps: [ $split ] }" \
        'processors.pick={ steps: [ keep: { key: k3 } ] }'
    both 0 all_rows "processors.parse={ concurrency: 2, steps: [ $split ] }" \
        'processors.pass={ concurrency: 1, dispatch: demand }' batcher.order=any
}

test_dispatch_by_partition() {
    rows 2000
    plain
    sed -i '/^processor:/d' plain.yaml
    both 0 each_key_in_order partition_by=key source.concurrency=1 \
        "processors.parse={ concurrency: 1, steps: [ $split ] }" \
        'processors.work={ concurrency: 3 }' \
        'batcher={ key: key, concurrency: 2, order: any }' \
        'batcher.sink={ file: { path: "out/{key}.txt" } }'
    both 0 each_key_in_order source.concurrency=1 \
        "processors.parse={ concurrency: 1, steps: [ $split ] }" \
        'processors.work={ concurrency: 3, dispatch: partition, partition_by: key }' \
        batcher.key=key batcher.order=any 'batcher.sink={ file: { path: "out/{key}.txt" } }'
}

test_dispatch_to_all() {
    rows 500
    plain
    sed -i '/^processor:/d' plain.yaml
    three_times() {
        expect_same <(sort in.txt in.txt in.txt) <(sort out.txt)
        report '.received == 500 and .done == 500'
    }
    both 0 three_times "processors.parse={ concurrency: 1, steps: [ $split ] }" \
        'processors.all={ concurrency: 3, dispatch: broadcast }' batcher.order=any
}

test_workers() {
    rows 5000
    plain
    both 0 all_in_order processor.isolation=process processor.timeout=10s \
        processor.start_timeout=10s processor.max_attempts=3 processor.max_restarts=5 \
        processor.max_seconds=10 processor.restart_backoff=1ms processor.sandbox=strict \
        processor.memory=64MiB
}

# steps STEP...: of the plain pipeline, behind its split.
steps() {
    local list=$split
    printf -v list '%s, %s' "$list" "$(IFS=,; echo "$*")"
    echo "processor.steps=[ $list ]"
}

test_conditions() {
    rows 100
    plain
    third() { expect_same <(grep '^k3' in.txt) out.txt; }
    both 0 third "$(steps \
        'keep: { key: { matches: "^K3$", ignore_case: true, utf: keep, limit: 999 } }')"
    both 0 third "$(steps 'keep: { key: { contains: [3, x] } }')"
    both 0 third "$(steps 'keep: { key: { is: [k3] }, payload: { empty: false } }')"
    both 0 third "$(steps 'drop: { not: { key: { starts_with: k3, ends_with: 3 } } }')"
    both 0 third "$(steps 'keep: { key: k3, n: { since: 1970-01-01, time: seconds } }')"
    both 0 third "$(steps 'keep: { key: { from: k3, to: k3 }, n: { to: { field: n } } }')"
}

test_small_steps() {
    rows 100
    plain
    first() { expect_same <(awk 'NR % 10 == 1' in.txt) out.txt; }
    both 0 first source.concurrency=1 processor.concurrency=1 "$(steps 'sample: 10')"
    third() { expect_same <(grep '^k3' in.txt) out.txt; }
    both 0 third "$(steps 'rename: { key: name }' 'keep: { name: k3 }')"
    both 0 third "$(steps 'match: { pattern: "k(?<d>[0-9]);", into: { d: int } }' 'keep: { d: 3 }')"
    both 0 third "$(steps 'match: { pattern: "k(?<d>3);", else: drop }')"
    both 0 third "$(steps 'time: { from: n, format: seconds, into: at, to: rfc3339, floor: 1h }' \
        'keep: { key: k3, at: 1970-01-01T00:00:00Z }')"
}

test_fields_of_json() {
    seq 50 | sed 's/.*/{"a":{"n":[0,&]},"level":"l&"}/' >in.txt
    plain
    two() { expect_same <(printf '{"n":%d}\n' 7 9) out.txt; }
    both 0 two 'processor.steps=[ json: { where: { level: [l7, l9] }, check: all, utf8: keep,
        longest: 1KiB, from: payload, into: { n: { path: "a.n[1]", type: int, default: 0 } } } ]' \
        batcher.sink.file.format=ndjson
}

# ---- batchers ------------------------------------------------------------------------

test_batches_by_size() {
    rows 100
    plain
    ten() { report '.batches == 10'; }
    both 0 ten batcher.size=10 batcher.timeout=60s
}

test_batches_by_bytes() {
    rows 100
    plain
    several() { report '.batches >= 5 and .batches <= 20'; }
    both 0 several batcher.bytes=60B batcher.timeout=60s
}

test_batches_by_time() {
    rows 100
    plain
    several() { report '.batches >= 4'; }
    both 0 several 'source.rate={ messages: 200, burst: 1 }' batcher.timeout=20ms
}

test_batches_by_key_and_partition() {
    rows 1000
    plain
    both 0 each_key_in_order batcher.key=key 'batcher.sink={ file: { path: "out/{key}.txt" } }' \
        batcher.partition_by=key batcher.concurrency=2
}

test_one_message_to_several_batchers() {
    rows 700
    plain
    sed -i '/^batcher:/d' plain.yaml
    in_both() {
        all_in_order
        expect_same <(grep '^k3' in.txt) out/third.txt
        report '.received == 700 and .done == 700'
    }
    local route='route: { field: key, to: { k3: [all, third] }, else: all }'
    both 0 in_both "processor.steps=[ $split, $route ]" \
        'batchers.all={ sink: { file: { path: out.txt } } }' \
        'batchers.third={ sink: { file: { path: out/third.txt } } }'
}

test_what_a_slow_batcher_may_hold() {
    rows 20000
    plain
    both 0 all_in_order batcher.hold=1MiB batcher.when_full=spill \
        'batcher.spill={ path: ., size: 16MiB }'
    both 0 all_rows batcher.hold=4MiB batcher.when_full=fail batcher.order=any
}

test_packed_rotated_and_durable_files() {
    command -v zstd >/dev/null || skip "no zstd"
    rows 5000
    plain
    unpacked() { expect_same in.txt <(gzip -dc out.txt); }
    both 0 unpacked batcher.sink.file.compression=gz batcher.sink.file.level=2
    durable() { expect_same in.txt <(zstd -q -dc out/*.zst); }
    both 0 durable batcher.bytes=8KiB batcher.sink.file.path='"out/{date}-{n}.zst"' \
        batcher.sink.file.compression=zstd batcher.sink.file.rotate.size=8KiB \
        batcher.sink.file.rotate.every=1h batcher.sink.file.rotate.keep=100 \
        batcher.sink.file.sync=batch batcher.sink.file.sync_every=1ms \
        batcher.sink.file.max_files=10
    both 0 all_in_order batcher.sink.file.sync=end
    both 0 all_in_order batcher.sink.file.direct=auto
}

test_a_sink_in_a_worker() {
    rows 3000
    plain
    all_batches() { report '.done == 3000 and .batches == 30'; }
    both 0 all_batches batcher.sink=null batcher.size=100 batcher.isolation=process \
        'batcher.worker={ timeout: 10s, max_restarts: 3, sandbox: strict }' batcher.order=any
    run validate plain.yaml -s batcher.isolation=process
    expect_code 78
    expect_err 'the sink file is not done with a batch when batch\(\) returns'
}

test_aggregate() {
    rows 700
    plain
    sums() { expect_same out.txt <(for k in 0 1 2 3 4 5 6; do echo "k$k,100"; done); }
    both 0 sums 'batcher.aggregate={ group_by: key, columns: { count: count() }, sort_by: key }' \
        'batcher.sink={ file: { path: out.txt, format: { csv: { header: false } } } }'
}

test_aggregate_that_does_not_fit_memory() {
    rows 700
    awk '{ print $0; print "x" NR ";1" }' in.txt >more && mv more in.txt
    plain
    sums() { expect_same <(LC_ALL=C sort out.txt) <(awk -F';' '{ c[$1]++; s[$1] += $2 }
        END { for (k in c) print k "," c[k] "," s[k] }' in.txt | LC_ALL=C sort); }
    both 0 sums 'batcher.aggregate={ group_by: key, columns: { n: count(), s: sum(n) },
        memory: 8MiB, max_keys: 100, spill: { path: out, size: 64MiB } }' \
        'batcher.sink={ file: { path: out.txt, format: { csv: { header: false } } } }'
    none() { [[ -z $(ls out) ]] || fail "something is left in the folder"; }
    none
}

# Rows of a key add up to what it has, however often it comes.
test_aggregate_emits_full_tables_early() {
    rows 700
    plain
    sums() { expect_same <(awk -F, '{ c[$1] += $2; e[$3]++ } END { for (k in c) print k, c[k];
        for (i in e) if (e[i] > 3) print i, e[i] }' out.txt | LC_ALL=C sort) \
        <(for k in 0 1 2 3 4 5 6; do echo "k$k 100"; done); }
    both 0 sums 'batcher.aggregate={ group_by: key, columns: { n: count(), e: emission() },
        emit: early, max_keys: 3 }' \
        'batcher.sink={ file: { path: out.txt, format: { csv: { header: false } } } }'
}

# The sample's, as awk computes it from the sums.
test_aggregate_spread() {
    rows 700
    plain
    sums() { expect_same <(awk -F, '{ printf "%s %.9g %.9g\n", $1, $2, $3 }' out.txt) \
        <(awk -F';' '{ c[$1]++; s[$1] += $2; q[$1] += $2 * $2 } END { for (k in c) {
        v = (q[k] - s[k] * s[k] / c[k]) / (c[k] - 1); printf "%s %.9g %.9g\n", k, v, sqrt(v) } }' \
        in.txt | LC_ALL=C sort); }
    both 0 sums 'batcher.aggregate={ group_by: key, columns: { v: var(n), d: stddev(n) },
        sort_by: key }' \
        'batcher.sink={ file: { path: out.txt, format: { csv: { header: false } } } }'
}

# ---- files ---

test_packed_files() {
    rows 1000
    plain
    gzip -c in.txt >in.gz
    both 0 all_in_order source.file.paths=in.gz source.file.compression=gz \
        source.file.max_window=8MiB
}

test_files_past_the_page_cache() {
    rows 100000
    plain
    both 0 all_in_order source.file.direct=auto
}

test_missing_files() {
    rows 1000
    plain
    both 0 all_in_order source.file.paths='[nowhere.txt, in.txt, "no*where"]' \
        source.file.missing=skip
}

test_followed_files() {
    rows 1000
    plain
    local where want
    for where in start end; do
        [[ $where == start ]] && want=1001 || want=1
        rm -f out.txt positions
        timeout -k 5 60 "$BELTWAY" run plain.yaml -s source.file.follow=true \
            -s source.file.state=positions -s source.file.begin="$where" -s batcher.timeout=5ms \
            -s source.file.rotated_wait=1s -s source.file.watch=auto \
            -s batcher.sink.file.mode=append 2>"$work/err" &
        waited=$!
        until grep -q . positions 2>/dev/null; do sleep 0.02; done
        echo "k1;2000" >>in.txt
        until tail -1 out.txt* 2>/dev/null | grep -q "k1;2000"; do sleep 0.02; done
        kill -TERM "$(pgrep -P $waited)"
        wait $waited || fail "exit code $?"
        (($(wc -l <out.txt) == want)) || fail "$where: $(wc -l <out.txt) rows"
    done
}

# ---- failures --------------------------------------------------------------------------

test_failed_messages_are_tried_again_and_kept() {
    rows 10
    echo broken >>in.txt
    plain
    with_reason() {
        (($(wc -l <failed.ndjson) == 1)) || fail "$(cat failed.ndjson)"
        grep -q '"attempts":3.*"reason":"no .*"payload":"broken"' failed.ndjson ||
            fail "$(cat failed.ndjson)"
        expect_same <(head -10 in.txt) out.txt
    }
    both 1 with_reason failed.attempts=3 failed.backoff=1ms failed.backoff_max=10ms \
        failed.ordered=payload failed.retry_memory=1MiB \
        'failed.sink={ file: { path: failed.ndjson } }'
}

test_failed_has_one_instance() {
    rows 1
    plain
    run validate plain.yaml -s 'failed={ concurrency: 2, sink: "null" }'
    expect_code 78
    expect_err "failed: 'concurrency' is for batchers"
}

test_a_run_that_fails_too_often_stops() {
    seq 100000 >in.txt
    plain
    nothing() { [[ ! -s out.txt ]] || fail "rows came out"; }
    both 3 nothing fail_limit=5
}

# ---- records and csv ---------------------------------------------------------------------

test_records_of_files() {
    rows 100
    plain
    both 0 all_in_order source.file.records=csv
    both 0 all_in_order 'source.file.records={ csv: { delimiter: ";", quote: "|" } }'
    both 0 all_in_order 'processor.steps=[ csv: { delimiter: ";", quote: "", quotes: lenient,
        extra: ignore, missing: empty, utf8: replace, into: { key: text, n: int } } ]'
    fewer() { [[ $(wc -l <out.txt) == 99 ]] || fail "$(head -3 out.txt)"; }
    both 0 fewer 'source.file.records={ csv: { delimiter: ";", header: true } }'
    awk '{ printf "%-9s\n", $0 }' in.txt >fixed.txt && mv fixed.txt in.txt
    tens() { [[ $(grep -c '^k[0-6];[0-9]* *$' out.txt) == 100 ]] || fail "$(head -3 out.txt)"; }
    both 0 tens 'source.file.records={ fixed: 10B }' 'processor.steps=[]' \
        'batcher.sink.file.format=raw'
    awk '{ printf "%c%s", length + 1, $0 }' in.txt >lengths && mv lengths in.txt
    both 0 tens 'source.file.records={ length: { prefix: u8, counts_itself: true } }' \
        'processor.steps=[]'
}

# ---- the rest ----------------------------------------------------------------------------

test_names_and_placement() {
    rows 100
    plain
    named() {
        all_in_order
        report '.name == "other"'
    }
    both 0 named name=other drain=1s placement.lanes=2 placement.fuse=none placement.wait=block \
        placement.backend=posix placement.touch=true processor.concurrency=1 \
        processor.max_concurrency=2 hold_messages=16 hold_memory=64KiB
    run validate plain.yaml -s hold_memory=64KiB
    expect_code 78
    expect_err 'hold_memory is for held messages: set hold_messages'
}

run_tests "$@"
