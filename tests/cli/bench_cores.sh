#!/bin/bash
# bench cores: figures of this machine, as a table, JSON and a picture.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

two_cpus() {
    (($(nproc) > 1)) || skip "one CPU"
}

test_measures_every_pair() {
    two_cpus
    run bench cores --samples 1 --json cores.json --picture cores.svg
    expect_code 0
    expect_out '^Latency, ns'
    expect_out '^Bandwidth, GB/s'
    expect_out '^Wake, us'
    jq -e '(.cpus | length) as $n | [.latency_ns, .gb_per_s, .wake_us] | all(
        length == $n and all(.[]; length == $n) and
        ([.[][] | select(. > 0)] | length) == $n * ($n - 1))' cores.json >"$work/out" ||
        fail "cores.json: $(cat cores.json)"
    grep -q '^</svg>' cores.svg || fail "cores.svg is no picture"
}

test_takes_some_cpus_only() {
    two_cpus
    run bench cores --samples 1 --cpus 0
    expect_code 1
    expect_err 'two CPUs'
}

test_says_what_is_wrong() {
    run bench
    expect_code 2
    expect_err 'which bench'
    run bench core
    expect_code 2
    expect_err "did you mean 'cores'"
    run bench cores --samples none
    expect_code 2
    expect_err 'from 1 to'
    run bench cores --cpus x
    expect_code 2
    expect_err 'cpus x'
}

test_says_where_it_cannot_write() {
    two_cpus
    run bench cores --samples 1 --json missing/cores.json
    expect_code 1
    expect_err 'missing/cores.json: No such file'
}

run_tests "$@"
