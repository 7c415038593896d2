#!/bin/bash
# bench files: that it measures what it says, on data of a megabyte.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -x ${BELTWAY%/*}/belt-bench-files ]] || { echo "built without benches"; exit 77; }

test_measures_a_job_beside_its_limit() {
    run bench files --jobs G1,G3 --size 1MB --runs 2 --dir . --json files.json --plot plots
    expect_code 0
    expect_out '^G3 Sensors'
    jq -e '[.rows[] | select(.job == "G1" and .kind == "ours")] | length == 1 and
        all(.median > 0 and .of_limit > 0 and .goal == 15 and (.samples | length) == 2)' \
        files.json >"$work/out" || fail "files.json: $(cat files.json)"
    grep -q '^</svg>' plots/files.svg || fail "plots/files.svg is no picture"
}

# A goal, or an aim, may be a part of the limit; a row without an aim has none.
test_says_goals_as_parts_of_limits() {
    run bench files --jobs G7 --size 1MB --runs 1 --dir . --json files.json
    expect_code 0
    expect_out '^ *device write, cached, synced  *[0-9]'
    expect_out '^ *beltway .*(aim|met|missed) \(1, aim 0.85x\)$'
    expect_out '^ *beltway, durable .*(met|missed) \(0.8x\)$'
    jq -e '.rows[] | select(.name == "beltway, durable") |
        .goal_of_limit == 0.8 and .of_limit > 0 and (has("aim") or has("goal") | not)' \
        files.json >"$work/out" || fail "files.json: $(cat files.json)"
}

# Its answer is compared with awk's: changed data must be noticed.
test_notices_a_wrong_answer() {
    run bench files --jobs G3 --size 1MB --runs 1 --dir .
    expect_code 0
    sed -i '2s/,[0-9]*$/,1/' sensors-413.txt.expected
    run bench files --jobs G3 --size 1MB --runs 1 --dir .
    expect_code 1
    expect_out "beltway .*FAILED: totals.csv differs from awk's"
}

test_takes_a_program_of_the_users() {
    run bench files --jobs G1 --size 1MB --runs 1 --dir . --json files.json \
        --peer "G1:lines:wc -l <'\$IN' >'\$OUT/lines'" --peer 'G1:broken:false'
    expect_code 1
    expect_out '^ *lines  *[0-9]'
    expect_out 'broken .*FAILED: broken failed'
    jq -e '[.rows[] | select(.name == "lines" and .median > 0)] | length == 1' files.json \
        >"$work/out" || fail "files.json: $(cat files.json)"
}

test_lists_its_rows() {
    run bench files --list
    expect_code 0
    expect_out '^G9 .*bare loop'
}

test_says_what_is_wrong() {
    run bench files --jobs G99
    expect_code 2
    expect_err "no job 'G99'"
    run bench files --size 3
    expect_code 2
    expect_err '1MB or more'
    run bench files --peer G1:mine
    expect_code 2
    expect_err 'JOB:NAME:COMMAND'
    run bench files --peer G99:mine:true
    expect_code 2
    expect_err 'one of G1 to G9'
    run bench files --runs none
    expect_code 2
    expect_err 'number from 1'
}

run_tests "$@"
