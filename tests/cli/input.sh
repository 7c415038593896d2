#!/bin/bash
# Input that is not there, or not what it should be.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# refuses_input PATH MESSAGE: nothing is written, exit code 78.
refuses_input() {
    copies "$1"
    run run copy.yaml
    expect_code 78
    expect_err "$2"
    [[ ! -e copy.txt && ! -e copy.txt.partial ]] || fail "something was written"
}

test_no_such_file() {
    refuses_input nowhere.txt '^nowhere.txt: No such file'
}

test_unreadable_file() {
    echo row >secret.txt
    chmod 000 secret.txt
    copies secret.txt
    if ((EUID == 0)); then
        chmod 777 .
        cp "$BELTWAY" beltway
        timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups ./beltway run copy.yaml \
            >"$work/out" 2>"$work/err"
        code=$?
    else
        run run copy.yaml
    fi
    expect_code 78
    expect_err '^secret.txt: Permission denied'
    [[ ! -e copy.txt ]] || fail "something was written"
}

test_directory() {
    mkdir folder
    refuses_input folder '^copy.yaml:[0-9]+:[0-9]+: folder is a directory.*folder/\*\.log'
}

test_glob_that_matches_nothing() {
    refuses_input 'logs/*.txt' '^logs/\*\.txt: no file matches'
}

test_globs_are_read_in_order() {
    printf 'a\n' >1.txt
    printf 'b' >2.txt
    : >3.txt
    printf 'c\n' >4.txt
    copies '[0-9].txt'
    run run copy.yaml
    expect_code 0
    expect_same copy.txt <(printf 'a\nb\nc\n')
}

test_more_files_than_a_process_usually_opens() {
    mkdir many
    seq 2000 | (cd many && split -l 1 -a 4)
    copies 'many/*'
    (
        ulimit -Sn 256
        run run copy.yaml
        expect_code 0
    ) || exit 1
    expect_same copy.txt <(seq 2000)
}

test_reading_past_the_page_cache() {
    copies /proc/cpuinfo
    run run copy.yaml -s source.file.direct=true
    expect_code 78
    expect_err '/proc/cpuinfo: its file system cannot be read past the page cache: set direct'
    seq -f 'row %f of many' 200000 >rows.txt
    run run copy.yaml -s source.file.paths=rows.txt -s source.file.direct=auto
    expect_code 0
    expect_same copy.txt rows.txt
}

test_standard_input() {
    copies -
    seq 100000 >rows.txt
    timeout 60 "$BELTWAY" run copy.yaml <rows.txt >"$work/out" 2>"$work/err"
    code=$?
    expect_code 0
    expect_same copy.txt rows.txt
    cat rows.txt | timeout 60 "$BELTWAY" run copy.yaml >"$work/out" 2>"$work/err"
    expect_same copy.txt rows.txt
}

test_closed_standard_input() {
    copies -
    timeout 10 "$BELTWAY" run copy.yaml <&- >"$work/out" 2>"$work/err"
    code=$?
    expect_code 3
    expect_err '^stdin: .*Bad file descriptor'
}

test_files_that_hide_their_size() {
    copies /proc/filesystems
    run run copy.yaml
    expect_code 0
    expect_same copy.txt <(cat /proc/filesystems)
    seq 10 >rows.txt
    run run copy.yaml -s 'source.file.paths=[rows.txt, /proc/filesystems]'
    expect_code 0
    expect_same copy.txt <(cat rows.txt /proc/filesystems)
}

test_empty_input() {
    : >none.txt
    copies none.txt
    run run copy.yaml
    expect_code 0
    expect_same copy.txt none.txt
}

test_bad_lines_fail_and_all_else_is_exact() {
    sensors
    { sed -n 1,3p measurements.txt; echo 'no delimiter'; sed -n 4,6p measurements.txt
      echo 'Chile;warm'; sed -n '7,$p' measurements.txt; } >mixed.txt
    run run pipeline.yaml -s source.file.paths=mixed.txt
    expect_code 1
    expect_err "^mixed.txt:4: no ';' after field sensor"
    expect_err '^mixed.txt:8: .*value.*warm'
    expect_err '^sensors: 12 rows .* 2 failed'
    bash "$SOURCE_DIR/examples/sensors/check.sh" measurements.txt >expected.csv
    expect_same totals.csv expected.csv
    (($(wc -l <failed.ndjson) == 2)) || fail "failed.ndjson has not two rows"
    grep -q '"reason":.*"payload":"no delimiter"' failed.ndjson || fail "$(cat failed.ndjson)"
    grep -q '"file":".*mixed.txt".*"payload":"Chile;warm"' failed.ndjson ||
        fail "$(cat failed.ndjson)"
}

test_only_the_first_failures_are_shown() {
    sensors
    seq 5000 >bad.txt
    run run pipeline.yaml -s source.file.paths=bad.txt
    expect_code 1
    (($(grep -c '^bad.txt:[0-9]*: ' "$work/err") == 10)) || fail "not ten lines"
    expect_err '^bad.txt:1: '
    expect_err '^\.\.\. and 4,990 more$'
    (($(wc -l <failed.ndjson) == 5000)) || fail "not 5000 rows in failed.ndjson"
}

test_every_line_failing_stops_early_when_set() {
    sensors
    seq 3000000 >bad.txt
    cp "$SOURCE_DIR/examples/sensors/expected.csv" totals.csv
    run run pipeline.yaml -s source.file.paths=bad.txt --fail-limit 100
    expect_code 3
    expect_err 'stopped early.*fail_limit'
    expect_same totals.csv "$SOURCE_DIR/examples/sensors/expected.csv"
}

test_record_over_the_limit() {
    { echo first; head -c 100000 /dev/zero | tr '\0' x; echo; echo last; } >long.txt
    copies long.txt
    run run copy.yaml -s 'failed={ sink: { file: { path: failed.ndjson } } }'
    expect_code 1
    expect_err '^long.txt:2: .*max_record'
    expect_same copy.txt <(printf 'first\nlast\n')
    (($(wc -l <failed.ndjson) == 1)) || fail "not one row in failed.ndjson"
    run run copy.yaml -s source.file.max_record=128KiB
    expect_code 0
    expect_same copy.txt long.txt
}

# Shrinks under the reader: an end without a crash, with what was there or an error.
test_file_truncated_while_read() {
    seq 4000000 >rows.txt
    copies rows.txt
    (sleep 0.02; truncate -s 5000000 rows.txt) &
    run run copy.yaml -s source.file.chunk=4KiB
    wait
    ((code == 0 || code == 1 || code == 3)) || fail "exit code $code"
    [[ -s $work/err ]] || fail "nothing said"
}

test_no_failed_block() {
    sensors
    sed -i '/^failed:/d' pipeline.yaml
    echo bad >>measurements.txt
    run run pipeline.yaml
    expect_code 1
    expect_err '^measurements.txt:11: '
    [[ ! -e failed.ndjson ]] || fail "failed.ndjson is there"
}

run_tests "$@"
