#!/bin/bash
# CPUs, lanes, waiting, and machines that forbid things.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# works ARG...: the sensors example on its data, with these arguments.
works() {
    cp "$SOURCE_DIR"/examples/sensors/{pipeline.yaml,measurements.txt} .
    run run pipeline.yaml "$@"
    expect_code 0
    expect_same totals.csv "$SOURCE_DIR/examples/sensors/expected.csv"
}

# refused MESSAGE ARG...
refused() {
    sensors
    run run pipeline.yaml "${@:2}"
    expect_code 78
    expect_err "$1"
    expect_only pipeline.yaml measurements.txt
}

test_cpus_outside_the_mask() {
    refused '1023' --cpus 1023
}

test_cpu_taken_away_by_the_mask() {
    local cpus
    mapfile -t cpus < <(allowed)
    ((${#cpus[@]} > 1)) || skip "one CPU"
    sensors
    timeout 60 taskset -c "${cpus[0]}" "$BELTWAY" run pipeline.yaml --cpus "${cpus[1]}" \
        2>"$work/err"
    code=$?
    expect_code 78
    expect_err "${cpus[1]}"
}

test_pin_outside_the_mask() {
    refused '1023' --pin processor.0=1023
}

test_pin_of_a_stage_that_is_not_there() {
    refused 'prozessor' --pin prozessor.0=0
}

test_malformed_pin_is_a_usage_error() {
    sensors
    for pin in processor processor.0 processor=1 .0=1 processor.x=1 processor.0=; do
        run run pipeline.yaml --pin "$pin"
        expect_code 2
        expect_err 'STAGE.I=CPU'
    done
}

test_one_cpu() {
    works --cpus "$(allowed | head -1)"
    expect_err "on CPU $(allowed | head -1) "
}

test_all_but_one_cpu() {
    (($(allowed | wc -l) > 1)) || skip "one CPU"
    works --cpus "not:$(allowed | head -1)"
}

test_pinned_stages() {
    local cpu
    cpu=$(allowed | tail -1)
    works --pin "processor.0=$cpu" --pin "batchers.totals.0=$cpu"
    run plan pipeline.yaml --pin "processor.0=$cpu"
    expect_code 0
    expect_out "^ *[0-9]+ +$cpu .*processor.0.*pinned by hand"
}

test_one_lane() {
    works --lanes 1
    expect_err '; 1 lane on CPU'
}

test_every_stage_on_its_own() {
    works --fuse none
}

test_every_way_to_wait() {
    for wait in spin yield backoff block; do
        works --wait "$wait"
    done
}

test_more_lanes_than_cpus_must_not_spin() {
    refused 'fewer lanes' --wait spin --fuse none -s processor.concurrency=200
}

test_more_lanes_than_cpus_pinned_by_hand_must_not_spin() {
    local cpu
    cpu=$(allowed | head -1)
    refused 'spin' --wait spin --fuse none --pin "source.0=$cpu" --pin "processor.0=$cpu"
}

test_misspelt_wait() {
    refused "spn.*did you mean 'spin'|spin" --wait spn
}

test_posix_backend() {
    works --backend posix
}

test_process_isolation() {
    works --isolation process
}

test_8_mib_of_locked_memory() {
    (prlimit --pid "$BASHPID" --memlock=8388608 && works) || exit
}

test_few_descriptors() {
    (prlimit --pid "$BASHPID" --nofile=64 && works) || exit
}

# As in most containers: the system call answers EPERM, auto falls back.
test_io_uring_forbidden() {
    (($(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0) > 0)) ||
        skip "io_uring is allowed here"
    works
    refused 'io_uring' --backend io_uring
}


# ---- words, stages by the end of their names --------------------------------------------

test_words_of_hwloc() {
    sensors
    run plan pipeline.yaml --topology 'synthetic:node:2 core:4 pu:2' --cpus 'numa:1'
    expect_code 0
    expect_out '^ +0 +8 +numa:1.core:0.pu:0 +1 '
    run plan pipeline.yaml --topology 'synthetic:node:2 core:4 pu:2' --pin totals.0=numa:1.core:3
    expect_code 0
    expect_out '^ *[0-9]+ +14 .*totals.0.*pinned by hand'
    refused "core:99.*no such CPU" --cpus core:99
}

test_pin_of_all_instances() {
    sensors
    run plan pipeline.yaml --topology 'synthetic:core:4 pu:1' --lanes 2 --pin source.all=2-3
    expect_code 0
    expect_out '^ +0 +2 .*source.0'
    expect_out '^ +1 +3 .*source.1'
}

test_pins_of_the_command_line_join_those_of_a_file() {
    sensors
    printf 'placement: { pin: { source.0: 2, source.1: 1 } }\n' >host.yaml
    run plan pipeline.yaml --topology 'synthetic:core:4 pu:1' --lanes 2 --with host.yaml \
        --pin source.1=3
    expect_code 0
    expect_out '^ +0 +2 .*source.0'
    expect_out '^ +1 +3 .*source.1'
}

test_stages_that_share_lanes_by_hand() {
    sensors
    run plan pipeline.yaml --topology 'synthetic:core:8 pu:1' --lanes 8 -s source.concurrency=1 \
        --fuse processor+totals
    expect_code 0
    expect_out '^ +0 +[0-9]+ .*same +backoff +source.0 \(file\)$'
    expect_out '^ +1 +[0-9]+ .*processor.0 > batchers.totals.0$'
    refused "did|neither auto nor none.*there are source, processor" --fuse source+prozessor
}

test_ways_to_wait_of_single_stages() {
    sensors
    run plan pipeline.yaml --topology 'synthetic:core:8 pu:1' -s source.concurrency=1 \
        --fuse none --wait block --wait processor.0=spin
    expect_code 0
    expect_out 'spin +processor.0'
    expect_out 'block +source.0'
    refused 'share a lane but are to spin and to block' --wait source.0=spin \
        --wait processor.0=block
}

test_memory_of_a_node_that_is_not_there() {
    refused 'memory_node: this machine has no node 77; there are 0' --memory-node 77
}

test_huge_pages_that_are_not_reserved() {
    (($(cat /proc/sys/vm/nr_hugepages) == 0)) || skip "huge pages are reserved here"
    sensors
    run run pipeline.yaml --huge-pages reserved
    expect_code 78
    expect_err 'huge pages of 2 MiB are wanted.*vm/nr_hugepages'
    works --huge-pages off
    expect_err 'got .* 0.0 on huge pages'
}

test_misspelt_smt() {
    refused 'auto, on, off' --smt maybe
}

# ---- plan --------------------------------------------------------------------------------

# The table, without what only says where a pin is from.
table() {
    run plan pipeline.yaml "$@"
    expect_code 0
    sed 's/  (pinned by hand)$//' "$work/out"
}

test_a_saved_overlay_gives_the_same_plan() {
    sensors
    local machine before
    for machine in "synthetic:node:2 l3:2 core:4 pu:2" "$SOURCE_DIR/tests/topologies/hybrid.xml" \
        "$SOURCE_DIR/tests/topologies/holes.xml"; do
        for how in auto none source+processor; do
            before=$(table --topology "$machine" --fuse "$how" -s batchers.totals.concurrency=1 \
                --save host.yaml)
            diff <(echo "$before") <(table --topology "$machine" --with host.yaml) ||
                fail "another plan on $machine, fuse $how"
        done
    done
}

test_a_plan_for_another_machine_does_not_run_here() {
    refused 'plan for another machine' --topology 'synthetic:core:2 pu:1'
}

test_a_machine_that_is_no_file() {
    refused 'nonexistent.xml.*No such file' --topology nonexistent.xml
}

test_plan_as_json() {
    sensors
    run plan pipeline.yaml --json --topology "$SOURCE_DIR/tests/topologies/ring.xml"
    expect_code 0
    python3 - "$work/out" <<'END' || fail "not what was expected"
import json, sys
plan = json.load(open(sys.argv[1]))
assert len(plan["lanes"]) == 64, len(plan["lanes"])
assert len({lane["cpu"] for lane in plan["lanes"]}) == 64
assert plan["cost"]["shared"] == 0 and plan["cost"]["siblings"] == 0
assert plan["machine"]["here"] is False and len(plan["machine"]["nodes"]) == 8
assert {"from": "source", "to": "processor", "lines": 64, "each": False} in plan["edges"]
assert plan["reasons"]
END
}

test_plan_says_why() {
    sensors
    run plan pipeline.yaml --explain --topology "$SOURCE_DIR/tests/topologies/memory_only.xml"
    expect_code 0
    expect_out 'node 2 has memory, but no CPU'
    expect_out 'lane 0 on CPU 0 \(numa:0.core:0.pu:0\)'
}

# The plan's cost is that of the figures in the file, not of the table.
test_plan_by_what_was_measured() {
    sensors
    cat >cores.json <<'JSON'
{ "cpus": [0, 1], "latency_ns": [[0, 40000], [40000, 0]] }
JSON
    run plan pipeline.yaml --explain --lanes 2 --topology "synthetic:core:2 pu:1"
    expect_out 'this plan: .* [0-9] ns for a cache line'
    run plan pipeline.yaml --explain --lanes 2 --topology "synthetic:core:2 pu:1" \
        --measured cores.json
    expect_code 0
    expect_out 'this plan: .* [0-9]{3,} ns for a cache line'
    run plan pipeline.yaml --measured pipeline.yaml
    expect_code 78
    expect_err 'not what `beltway bench cores --json FILE` writes'
    echo '{ "cpus": [0, 1], "latency_ns": [[0, 1], [x, 0]] }' >cores.json
    run plan pipeline.yaml --measured cores.json
    expect_code 78
    expect_err "cores.json:1:[0-9]+: latency_ns: .*not 'x'"
    run plan pipeline.yaml --measured missing.json
    expect_code 78
    expect_err 'missing.json'
}

test_plan_as_a_picture() {
    sensors
    run plan pipeline.yaml --picture plan.svg --topology "$SOURCE_DIR/tests/topologies/ring.xml"
    expect_code 0
    python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' plan.svg ||
        fail "no XML"
    (($(grep -c '>lane [0-9]*<' plan.svg) == 64)) || fail "not every lane is drawn"
    (($(grep -c '>CPU [0-9]*  numa' plan.svg) == 128)) || fail "not every CPU is drawn"
}

test_run_says_what_it_got() {
    works
    expect_err 'got [0-9.]+ of [0-9.]+ MiB touched.*(io_uring|posix); wait backoff; threads'
}

run_tests "$@"
