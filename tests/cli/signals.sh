#!/bin/bash
# Signals that end a run: the first lets it finish what is inside, the second does not.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# start ARG...: runs in the background on a pipe that stays open; waits until rows came out.
start() {
    mkfifo pipe
    copies pipe
    sed -i 's/batcher: {/batcher: { timeout: 10ms,/' copy.yaml
    "$BELTWAY" run copy.yaml -s batcher.sink.file.mode=append "$@" 2>"$work/err" &
    pid=$!
    exec 9>pipe
    seq 1000 >&9
    for ((i = 0; i < 500; i++)); do
        [[ -e copy.txt ]] && (($(wc -l <copy.txt) == 1000)) && return
        sleep 0.02
    done
    kill -9 "$pid"
    fail "the rows did not come out"
}

# ended CODE: the command ends by itself, in good time.
ended() {
    for ((i = 0; i < 500; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.02
    done
    kill -9 "$pid" 2>/dev/null && fail "did not end"
    wait "$pid"
    code=$?
    expect_code "$1"
}

test_terminate_drains_and_reports() {
    start --report report.json
    kill -TERM "$pid"
    ended 143
    expect_err 'stopped early by SIGTERM'
    expect_err '1,000 rows in'
    grep -q '"unsettled": 0' report.json || fail "$(head -20 report.json)"
    expect_same copy.txt <(seq 1000)
}

test_interrupt_drains() {
    start
    kill -INT "$pid"
    ended 130
    expect_err 'stopped early by SIGINT'
}

# told TEXT: stderr says it, in good time.
told() {
    for ((i = 0; i < 500; i++)); do
        grep -q "$1" "$work/err" && return
        sleep 0.02
    done
    kill -9 "$pid"
    fail "it never said '$1': $(cat "$work/err")"
}

test_usr1_reads_the_settings_again() {
    start
    sed -i 's/timeout: 10ms/timeout: 20ms/' copy.yaml
    kill -USR1 "$pid"
    told 'read again, 1 setting changed'
    echo 'nonsense: 1' >>copy.yaml
    kill -USR1 "$pid"
    told "nonsense"
    seq 1001 1100 >&9
    exec 9>&-
    ended 0
    expect_same copy.txt <(seq 1100)
}

test_end_of_input_is_no_signal() {
    start
    exec 9>&-
    ended 0
}

# A sink nobody reads from: the run cannot drain, only the second signal ends it.
stuck() {
    mkfifo full
    seq 2000000 >rows.txt
    copies rows.txt
    exec 8<>full
    "$BELTWAY" run copy.yaml -s batcher.sink.file.path=full "$@" 2>"$work/err" &
    pid=$!
    sleep 0.5
}

test_second_interrupt_stops_now() {
    stuck
    kill -INT "$pid"
    sleep 0.5
    kill -0 "$pid" 2>/dev/null || fail "the first signal did not wait"
    kill -INT "$pid"
    ended 130
    expect_err 'stopped early by SIGINT; [0-9,]+ rows inside were not settled'
}

test_drain_has_a_limit() {
    stuck --drain 300ms
    kill -TERM "$pid"
    ended 143
    expect_err 'stopped early by SIGTERM; [0-9,]+ rows inside were not settled'
}

run_tests "$@"
