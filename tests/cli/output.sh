#!/bin/bash
# Output that cannot be written.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_sink_directory_missing() {
    copies rows.txt
    seq 10 >rows.txt
    run run copy.yaml -s batcher.sink.file.path=nowhere/copy.txt
    expect_code 78
    expect_err 'nowhere'
    expect_only copy.yaml rows.txt
}

test_sink_place_not_writable() {
    copies rows.txt
    seq 10 >rows.txt
    mkdir copy.txt
    run run copy.yaml
    expect_code 78
    expect_err 'copy.txt: it is a directory'
}

test_full_disk_fails_just_what_was_not_written() {
    need_root
    mkdir small
    mount -t tmpfs -o size=1m tmpfs small || skip "cannot mount"
    trap 'umount small' EXIT
    seq 1000000 >rows.txt
    copies rows.txt
    run run copy.yaml -s batcher.sink.file.path=small/copy.txt
    ((code == 1 || code == 3)) || fail "exit code $code"
    expect_err 'No space left'
    local written failed
    written=$(cat small/copy.txt* | wc -l)
    failed=$(grep -oE '[0-9,]+ failed' "$work/err" | tr -dc 0-9)
    ((written + failed == 1000000)) || fail "$written written, $failed failed"
}

# Nothing that is said goes into a file that was opened where stderr was.
test_closed_streams() {
    local fd pid
    mkfifo pipe
    copies pipe
    "$BELTWAY" run copy.yaml <&- >&- 2>&- &
    pid=$!
    exec 9>pipe # when it has been opened to be read
    for fd in 0 1 2; do
        [[ $(readlink "/proc/$pid/fd/$fd") == /dev/null ]] || fail "$(ls -l "/proc/$pid/fd")"
    done
    echo a row >&9
    exec 9>&-
    wait $pid || fail "exit code $?"
    expect_same copy.txt <(echo a row)
    timeout 10 "$BELTWAY" run copy.yaml -s source.file.paths=copy.yaml \
        -s 'batcher.sink={ stdout: {} }' >&- 2>"$work/err"
    code=$?
    expect_code 1
    expect_err 'stdout: Bad file descriptor'
}

test_full_device_under_stdout() {
    seq 1000000 >rows.txt
    copies rows.txt
    timeout 60 "$BELTWAY" run copy.yaml -s 'batcher.sink={ stdout: {} }' >/dev/full 2>"$work/err"
    code=$?
    ((code == 1 || code == 3)) || fail "exit code $code"
    expect_err 'No space left'
}

test_reader_of_stdout_goes_away() {
    seq 3000000 >rows.txt
    copies rows.txt
    timeout 60 "$BELTWAY" run copy.yaml -s 'batcher.sink={ stdout: {} }' 2>"$work/err" |
        head -3 >"$work/out"
    code=${PIPESTATUS[0]}
    expect_code 141
    (($(wc -l <"$work/out") == 3)) || fail "not three lines"
}

test_reader_of_generated_data_goes_away() {
    timeout 60 "$BELTWAY" generate sensors --rows 100M | head -3 >"$work/out"
    code=${PIPESTATUS[0]}
    expect_code 141
}

test_generated_data_on_a_full_device() {
    timeout 60 "$BELTWAY" generate sensors --rows 1M >/dev/full 2>"$work/err"
    code=$?
    expect_code 1
    expect_err '^stdout: No space left'
}

test_help_on_a_full_device() {
    timeout 60 "$BELTWAY" help >/dev/full 2>"$work/err"
    code=$?
    expect_code 1
    expect_err 'No space left'
}

test_stdout_has_data_only() {
    seq 1000 >rows.txt
    copies rows.txt
    run run copy.yaml -s 'batcher.sink={ stdout: {} }' --progress always
    expect_code 0
    expect_same "$work/out" rows.txt
    expect_err '^copy: 1,000 rows in '
}

test_quiet_says_errors_only() {
    seq 1000 >rows.txt
    copies rows.txt
    run run copy.yaml -q
    expect_code 0
    [[ ! -s $work/err && ! -s $work/out ]] || fail "not quiet"
}

test_replace_leaves_no_partial_file_and_append_adds() {
    seq 1000 >rows.txt
    copies rows.txt
    run run copy.yaml
    run run copy.yaml
    expect_same copy.txt rows.txt
    run run copy.yaml -s batcher.sink.file.mode=append
    expect_code 0
    expect_same copy.txt <(cat rows.txt rows.txt)
    expect_only copy.yaml rows.txt copy.txt
}

test_report_is_json_and_adds_up() {
    command -v jq >/dev/null || skip "no jq"
    sensors
    echo bad >>measurements.txt
    run run pipeline.yaml --report report.json
    expect_code 1
    jq -e '.name == "sensors" and .received == 11 and .failed == 1 and .unsettled == 0 and
        .done == 10 and .complete' report.json >/dev/null || fail "$(cat report.json)"
}

test_latency_is_one_line_more_when_asked_for() {
    echo 'source: { counter: 100000 }' >pipeline.yaml
    run run pipeline.yaml --latency
    expect_code 0
    expect_err 'read to settled: [0-9.]+ [unm]s p50, [0-9.]+ [unm]s p99, .* p99.9, .* most$'
    run run pipeline.yaml
    ! grep -q 'read to settled' "$work/err" || fail "not asked for"
}

test_report_that_cannot_be_written_is_known_at_once() {
    sensors
    run run pipeline.yaml --report nowhere/report.json
    expect_code 2
    expect_err 'nowhere/report.json'
    expect_only pipeline.yaml measurements.txt
}

run_tests "$@"
