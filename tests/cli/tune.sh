#!/bin/bash
# tune: tries plans on the input, writes nothing but the overlay that is asked for.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_saves_an_overlay_that_run_takes() {
    cp "$SOURCE_DIR"/examples/sensors/{pipeline.yaml,measurements.txt} .
    run tune pipeline.yaml --rounds 1 --first 64KiB --save best.yaml
    expect_code 0
    expect_out '^as it is .* first run$'
    expect_out '^(lanes 1|fuse none) .*msg/s +[0-9.]+x$'
    expect_out 'best: [0-9.]+x as it is$'
    expect_only pipeline.yaml measurements.txt best.yaml
    run run pipeline.yaml --with best.yaml
    expect_code 0
    expect_same totals.csv "$SOURCE_DIR/examples/sensors/expected.csv"
}

test_leaves_alone_what_the_command_line_sets() {
    sensors
    run tune pipeline.yaml --rounds 1 --first 64KiB --lanes 1
    expect_code 0
    grep -q '^lanes' "$work/out" && fail "lanes were tried"
    expect_only pipeline.yaml measurements.txt
}

test_does_not_try_the_same_plan_again() {
    sensors
    run tune pipeline.yaml --rounds 1 --first 64KiB --cpus "$(allowed | head -1)"
    expect_code 0
    expect_out '^lanes 1 +the same plan$'
}

test_keeps_sinks_when_told_so() {
    cp "$SOURCE_DIR"/examples/sensors/{pipeline.yaml,measurements.txt} .
    run tune pipeline.yaml --rounds 1 --first 64KiB --sinks keep
    expect_code 0
    expect_same totals.csv "$SOURCE_DIR/examples/sensors/expected.csv"
}

test_says_what_is_wrong() {
    sensors
    run tune
    expect_code 2
    run tune pipeline.yaml --first much
    expect_code 2
    expect_err 'size such as'
    run tune pipeline.yaml --rounds 0
    expect_code 2
    run tune pipeline.yaml -s source.file.paths=missing.txt
    expect_err 'missing.txt'
    ((code)) || fail "a run without data was good"
    run tune pipeline.yaml --rounds 1 --first 64KiB --save missing/best.yaml
    expect_code 1
    expect_err 'missing/best.yaml: No such file'
}

run_tests "$@"
