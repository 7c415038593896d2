#!/bin/bash
# The face: verbs, options, help.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_no_verb_shows_what_there_is() {
    run
    expect_code 2
    expect_out '^  validate '
}

test_misspelt_verb() {
    run valdate x.yaml
    expect_code 2
    expect_err "no verb 'valdate'; did you mean 'validate'"
}

test_misspelt_option() {
    run run --wiat spin x.yaml
    expect_code 2
    expect_err "no option '--wiat'; did you mean '--wait'"
}

test_unknown_option() {
    run run --zzzzzz x.yaml
    expect_code 2
    expect_err "no option '--zzzzzz'"
    run run -Z x.yaml
    expect_code 2
}

test_pipeline_is_needed_and_one_is_enough() {
    for verb in run validate plan; do
        run "$verb"
        expect_code 2
        run "$verb" a.yaml b.yaml
        expect_code 2
    done
}

test_setting_without_a_value() {
    run run x.yaml -s source.file.paths
    expect_code 2
    expect_err 'PATH=VALUE'
}

test_help_of_every_verb() {
    run help
    expect_code 0
    local verbs
    verbs=$(awk '/^Usage/ { on = 1; next } /^Blocks/ { exit } on { print $1 }' "$work/out")
    for verb in $verbs; do
        run help "$verb"
        expect_code 0
        [[ -s $work/out ]] || fail "help $verb says nothing"
    done
}

test_help_of_every_part() {
    run help
    for part in $(awk '/^Sources/ { on = 1 } on && /^  / { print $1 }' "$work/out"); do
        run help "$part"
        expect_code 0
        expect_out "^(source|step|sink|format) $part: "
    done
}

# Every name that a block of a pipeline may have, and no other, is in its help.
test_help_of_every_block() {
    run help
    local block blocks
    blocks=$(awk '/^Blocks/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' "$work/out")
    (($(wc -w <<<"$blocks") == 11)) || fail "not eleven blocks: $blocks"
    for block in $blocks; do
        run help "$block"
        expect_code 0
        expect_out "^settings of $block: "
    done
    run help processors
    expect_out '^  isolation '
    expect_out 'thread\|process; default thread'
    run help failed
    expect_out '^  ordered '
    expect_out '^  attempts '
    ! grep -q '^  concurrency' "$work/out" || fail "failed has one instance"
    run help rate
    expect_out 'number, at least 1; required$'
    run help pipeline
    expect_out '^  hold_messages '
    expect_out '^  partition_by '
}

test_help_shows_what_is_known_and_nothing_else() {
    local setting
    run help batcher
    for setting in $(awk '/^  [a-z]/ { print $1 }' "$work/out"); do
        echo "source: { counter: 1 }
batcher: { sink: 'null', $setting: { not: this } }" >p.yaml
        run validate p.yaml
        ! grep -q "unknown setting '$setting'" "$work/err" || fail "$setting is not known"
    done
    run validate p.yaml -s batcher.colour=red
    expect_err "unknown setting 'colour'"
}

test_help_shows_settings() {
    run help file
    expect_out '^source file: '
    expect_out '^sink file: '
    expect_out '^  max_record '
    expect_out 'default 64KiB'
}

test_help_of_nothing_known() {
    run help splitt
    expect_code 2
    expect_err "did you mean 'split'"
}

test_plan_shows_lanes_and_memory() {
    sensors
    run plan pipeline.yaml
    expect_code 0
    expect_out 'source.0 \(file\) > processor.0'
    expect_out 'memory: '
    expect_only pipeline.yaml measurements.txt
}

test_validate_needs_no_input() {
    sensors
    rm measurements.txt
    run validate pipeline.yaml
    expect_code 0
    expect_only pipeline.yaml
}

# generates MD5 ARG...: fixed for good, for tests and benches elsewhere compare with them.
generates() {
    run generate "${@:2}"
    [[ $(md5sum <"$work/out") == "$1 "* ]] || fail "$*: $(md5sum <"$work/out")"
}

test_generated_bytes_depend_on_the_seed_alone() {
    generates 2bfd4794bcf901b23f93cf07c4475f2d sensors --rows 1000
    generates bbbd347dfcba3c6a5a29031aac8a99c2 sensors --rows 1000 --names 10k
    generates d2b584098e1aa13c75dc2e1c46e4b02b lines --rows 1000
    generates 9d4b54a22dd4c8785459bc1db6fd8e9a ndjson --rows 1000 --seed 7
}

test_generated_names() {
    run generate sensors --rows 200k --names 10000 --out rows.txt
    expect_code 0
    expect_err '^rows.txt: 200,000 rows'
    LC_ALL=C awk -F';' 'NF != 2 || length($1) < 4 || length($1) > 100 ||
        $2 !~ /^-?[0-9]?[0-9]\.[0-9]$/ || $2 == "-0.0" { exit 1 }' rows.txt || fail "a bad row"
    iconv -f UTF-8 -t UTF-8 rows.txt >/dev/null || fail "not UTF-8"
    LC_ALL=C cut -d';' -f1 rows.txt | LC_ALL=C sort -u >names.txt
    (($(wc -l <names.txt) == 10000)) || fail "$(wc -l <names.txt) names"
    LC_ALL=C awk 'length($0) == 100 { found = 1 } END { exit !found }' names.txt ||
        fail "no name of 100 bytes"
}

test_generated_log() {
    command -v jq >/dev/null || skip "no jq"
    run generate ndjson --rows 20k --out log.ndjson
    (($(jq -c 'select(.level == "error")' log.ndjson | wc -l) > 1800)) || fail "too few errors"
    local mean=$(($(stat -c %s log.ndjson) / 20000))
    ((mean >= 172 && mean <= 182)) || fail "$mean bytes a row"
}

test_misspelt_kind_of_data() {
    run generate senors
    expect_code 2
    expect_err "did you mean 'sensors'"
    run generate sensors --rows many
    expect_code 2
}

run_tests "$@"
