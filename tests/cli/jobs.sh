#!/bin/bash
# The examples, against the same results computed in other ways.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
examples=$SOURCE_DIR/examples

# totals_of FILE ARG...: the sensors pipeline over FILE is what awk makes of it.
totals_of() {
    bash "$examples/sensors/check.sh" "$1" >expected.csv
    run run "$examples/sensors/pipeline.yaml" -s "source.file.paths=$1" "${@:2}"
    expect_code 0
    expect_same totals.csv expected.csv
}

test_sensors_on_the_real_data() {
    totals_of "$examples/sensors/measurements.txt"
    expect_same totals.csv "$examples/sensors/expected.csv"
}

test_sensors_data_are_those_of_the_tz_database() {
    local zone=/usr/share/zoneinfo
    [[ -e $zone/zone.tab ]] || skip "no tz database"
    bash "$examples/sensors/measurements.sh" "$zone" >made.txt
    cmp -s made.txt "$examples/sensors/measurements.txt" || skip "another release of tzdata"
}

test_sensors_with_10000_names() {
    "$BELTWAY" generate sensors --rows 300k --names 10000 --seed 3 --out rows.txt 2>/dev/null
    totals_of rows.txt
    totals_of rows.txt --lanes 1
    totals_of rows.txt -s source.file.chunk=4KiB
}

test_sensors_with_names_of_100_bytes() {
    local name
    name=$(printf 'é%.0s' {1..50})
    printf '%s;1.5\nA;-0.1\nA;0.0\n%s;1.6\n%s;1.4\nB;-99.9\nB;99.9\n"q",x;0.3\n' \
        "$name" "$name" "${name}" >rows.txt
    totals_of rows.txt
}

test_sensors_with_crlf_and_an_unended_last_line() {
    printf 'b;1.0\r\na;2.5\r\nb;3.1\r\na;-7.0' >rows.txt
    totals_of rows.txt
}

test_sensors_mean_is_rounded_half_up_and_never_minus_zero() {
    printf 'up;0.1\nup;0.2\ndown;-0.1\ndown;-0.2\nzero;-0.1\nzero;0.0\nnone;-0.0\n' >rows.txt
    totals_of rows.txt
    expect_same totals.csv <(printf '%s\n' sensor,min,mean,max,count down,-0.2,-0.1,-0.1,2 \
        none,0.0,0.0,0.0,1 up,0.1,0.2,0.2,2 zero,-0.1,0.0,0.0,2)
}

test_sensors_from_several_files() {
    "$BELTWAY" generate sensors --rows 50k --out 1.txt 2>/dev/null
    "$BELTWAY" generate sensors --rows 50k --seed 9 --out 2.txt 2>/dev/null
    cat 1.txt 2.txt >rows.txt
    totals_of rows.txt
    run run "$examples/sensors/pipeline.yaml" -s 'source.file.paths=[1.txt, 2.txt]'
    expect_code 0
    expect_same totals.csv expected.csv
}

test_sensors_from_a_pipe() {
    "$BELTWAY" generate sensors --rows 50k --out rows.txt 2>/dev/null
    totals_of rows.txt
    cat rows.txt | run run "$examples/sensors/pipeline.yaml" -s source.file.paths=-
    expect_same totals.csv expected.csv
}

# packages LOG ARG...: a file for each action is what grep makes of it.
packages() {
    mkdir -p out expected
    bash "$examples/packages/check.sh" "$1" expected
    run run "$examples/packages/pipeline.yaml" -s "source.file.paths=$1" "${@:2}"
    expect_code 0
    diff -r expected out >"$work/out" || fail "other files"
    rm -r out expected
}

test_packages_on_the_sample() {
    packages "$examples/packages/dpkg-sample.txt"
}

test_packages_of_this_machine() {
    [[ -r /var/log/dpkg.log ]] || skip "no /var/log/dpkg.log"
    packages /var/log/dpkg.log
}

test_packages_in_order_whatever_the_lanes() {
    for ((i = 0; i < 200; i++)); do
        sed "s/\$/ $i/" "$examples/packages/dpkg-sample.txt"
    done >long.log
    packages long.log -s source.file.chunk=4KiB
    packages long.log -s source.file.chunk=4KiB --fuse none
    packages long.log -s source.file.chunk=4KiB --lanes 1 --backend posix
}

test_packages_with_few_open_files() {
    packages "$examples/packages/dpkg-sample.txt" -s batchers.actions.sink.file.open_files=1 \
        -s batchers.actions.size=1
}

test_sum_in_c() {
    "$BUILD_DIR/examples/c/sum" "$examples/sensors/measurements.txt" >"$work/out" 2>"$work/err"
    code=$?
    expect_code 0
    expect_same "$work/out" "$examples/c/sum.expected"
    "$BUILD_DIR/examples/c/sum" nowhere.txt >"$work/out" 2>"$work/err"
    code=$?
    expect_code 1
    expect_err '^sum: nowhere.txt'
}

test_plugin_in_c() {
    cp "$examples/c/"{shout.yaml,words.txt} .
    export BELTWAY_BUILD=$BUILD_DIR
    run run shout.yaml
    expect_code 0
    expect_same "$work/out" "$examples/c/shout.expected"
    run run shout.yaml -s 'processor.steps.0.shout={ field: nothing }'
    expect_code 78
    expect_err "no field 'nothing'"
}

test_turn_in_c() {
    "$BUILD_DIR/examples/c/turn" >"$work/out" 2>"$work/err"
    code=$?
    expect_code 0
    expect_same "$work/out" "$examples/c/turn.expected"
}

test_run_shows_the_examples() {
    ROWS=200k DATA=$PWD OUT=$PWD bash "$examples/run.sh" >"$work/out" 2>&1 ||
        fail "exit code $?"
    expect_out '^sensors: 418 rows'
    expect_out '^sensors: 200,000 rows'
}

run_tests "$@"
