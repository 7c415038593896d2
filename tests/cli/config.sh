#!/bin/bash
# What is wrong with a pipeline is said with its place, before anything is written.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# refuses SED-COMMAND MESSAGE: the sensors pipeline, so edited, is refused.
refuses() {
    sensors
    sed -i "$1" pipeline.yaml
    for verb in validate run; do
        run "$verb" pipeline.yaml
        expect_code 78
        expect_err "$2"
        [[ ! -s $work/out ]] || fail "something on stdout"
    done
    expect_only pipeline.yaml measurements.txt
}

test_unknown_key_is_corrected() {
    refuses 's/delimiter:/delimeter:/' \
        "^pipeline.yaml:6:[0-9]+: .*'delimeter'.*did you mean 'delimiter'"
}

test_unknown_key_of_the_top_is_corrected() {
    refuses 's/^processor:/procesor:/' "^pipeline.yaml:4:1: .*'procesor'.*did you mean 'processor'"
}

test_unknown_part_is_corrected() {
    refuses 's/- split:/- spilt:/' "^pipeline.yaml:6:[0-9]+: .*'spilt'.*did you mean 'split'"
}

test_wrong_type() {
    refuses 's/records: lines/max_record: [1, 2]/' '^pipeline.yaml:3:[0-9]+: .*max_record'
}

test_number_where_a_choice_is_due() {
    refuses 's/records: lines/records: 7/' '^pipeline.yaml:3:[0-9]+: .*records'
}

test_missing_unit() {
    refuses 's/records: lines/chunk: 100/' '^pipeline.yaml:3:[0-9]+: .*100.*needs a unit'
}

test_missing_unit_of_a_time() {
    refuses '1s/$/\ndrain: 30/' '^pipeline.yaml:2:[0-9]+: .*30.*needs a unit'
}

test_negative_size() {
    refuses 's/records: lines/chunk: -4KiB/' '^pipeline.yaml:3:[0-9]+: .*-4KiB.*negative'
}

test_unknown_field_named_by_a_step() {
    refuses 's/^batchers:/    - keep: { sensr: Chile }\n&/' \
        "^pipeline.yaml:7:[0-9]+: no field 'sensr' here; did you mean 'sensor'"
}

test_unknown_field_named_by_an_aggregate() {
    refuses 's/group_by: sensor/group_by: senser/' \
        "^pipeline.yaml:10:[0-9]+: no field 'senser' here; did you mean 'sensor'"
}

test_unknown_batcher_named_by_a_step() {
    refuses 's/^batchers:/    - route: { field: sensor, to: { Chile: totls } }\n&/' \
        "^pipeline.yaml:7:[0-9]+: no batcher 'totls'; did you mean 'totals'"
}

test_broken_yaml() {
    refuses 's/into: {/into: {{/' '^pipeline.yaml:[0-9]+:[0-9]+: '
}

test_no_sink() {
    refuses '/^    sink:/d' '^pipeline.yaml:9:[0-9]+: .*sink'
}

test_two_parts_in_one_place() {
    refuses 's/^  file: {.*/  file: { paths: a }\n  counter: { count: 1 }/' '^pipeline.yaml:[23]:'
}

test_no_such_pipeline() {
    run run nowhere.yaml
    expect_code 78
    expect_err 'nowhere.yaml'
}

test_setting_by_path_is_checked_too() {
    sensors
    run run pipeline.yaml -s source.file.pats=x
    expect_code 78
    expect_err "^-s source.file.pats: .*did you mean 'paths'"
    expect_only pipeline.yaml measurements.txt
}

test_overlay_and_settings_change_a_pipeline() {
    sensors
    echo 'batchers: { totals: { sink: { file: { path: first.csv } } } }' >first.yaml
    run run pipeline.yaml --with first.yaml
    expect_code 0
    [[ -s first.csv && ! -e totals.csv ]] || fail "the overlay was not used"
    run run pipeline.yaml --with first.yaml -s batchers.totals.sink.file.path=second.csv \
        -s 'batchers.totals.aggregate.columns={ count: count() }'
    expect_code 0
    cut -d, -f1,5 first.csv >expected.csv
    expect_same second.csv expected.csv
}

test_environment_is_expanded() {
    sensors
    sed -i 's/paths: measurements.txt/paths: "${ROWS:-measurements.txt}"/' pipeline.yaml
    run run pipeline.yaml
    expect_code 0
    ROWS=elsewhere.txt run run pipeline.yaml
    expect_code 78
    expect_err 'elsewhere.txt'
}

run_tests "$@"
