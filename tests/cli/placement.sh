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

# The CPUs of this process, one a line.
allowed() {
    local list part
    list=$(taskset -cp $$ | sed 's/.*: //')
    for part in ${list//,/ }; do
        seq "${part%-*}" "${part#*-}"
    done
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

test_more_lanes_than_cpus_do_not_spin() {
    works --wait spin --fuse none -s processor.concurrency=8
    expect_err 'wait (backoff|yield|block)'
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

run_tests "$@"
