#!/bin/bash
# Packed input, beside what gzip and zstd say.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rows() {
    seq -f 'row %g of many' "$1"
}

# takes CODE PATHS [ARG...]: a run over them ends so.
takes() {
    local want=$1 paths=$2
    shift 2
    copies x
    run run copy.yaml -s "source.file.paths=$paths" "$@"
    expect_code "$want"
}

test_gz_and_zstd_give_what_was_packed() {
    rows 200000 >rows.txt
    gzip -k rows.txt
    zstd -q rows.txt
    takes 0 rows.txt.gz
    expect_same copy.txt rows.txt
    takes 0 rows.txt.zst
    expect_same copy.txt rows.txt
}

test_the_name_does_not_matter() {
    rows 1000 >rows.txt
    gzip -c rows.txt >plain.txt
    takes 0 plain.txt
    expect_same copy.txt rows.txt
    takes 0 plain.txt -s source.file.compression=none
    cmp -sn "$(stat -c %s plain.txt)" copy.txt plain.txt || fail "not as it lies there"
}

test_members_and_packed_standard_input() {
    rows 100000 >rows.txt
    { head -50000 rows.txt | gzip -c; tail -n +50001 rows.txt | gzip -1c; } >two.gz
    takes 0 two.gz
    expect_same copy.txt rows.txt
    for pack in gzip zstd cat; do
        copies -
        "$pack" <rows.txt | timeout 60 "$BELTWAY" run copy.yaml >"$work/out" 2>"$work/err"
        expect_same copy.txt rows.txt
    done
}

test_several_files_keep_their_order() {
    rows 60000 >rows.txt
    split -l 10000 rows.txt part.
    gzip part.aa part.ac
    zstd -q --rm part.ad part.af
    takes 0 'part.*'
    expect_same copy.txt rows.txt
}

test_damage_loses_nothing_of_other_files() {
    rows 60000 >rows.txt
    split -l 20000 rows.txt part.
    gzip part.aa part.ab part.ac
    size=$(stat -c %s part.ab.gz)
    truncate -s $((size / 2)) part.ab.gz
    gzip -dc part.ab.gz 2>/dev/null >half.txt
    takes 3 'part.*'
    expect_err "^part.ab.gz: byte $((size / 2)): damaged gz data: it ends too early"
    expect_err "^copy: stopped early; 0 rows inside were not settled"
    { head -20000 rows.txt; sed '$d' half.txt; tail -20000 rows.txt; } >want.txt
    expect_same copy.txt.partial want.txt
    # The torn record is failed by name and line, not lost.
    expect_err "^part.ab.gz:$(wc -l <want.txt | awk '{ print $1 - 40000 + 1 }'): .*truncated"
}

test_places_of_bad_rows_are_lines() {
    sensors
    { head -3 measurements.txt; echo 'no delimiter'; tail -3 measurements.txt; } | gzip -c >m.gz
    run run pipeline.yaml -s source.file.paths=m.gz
    expect_code 1
    expect_err '^m.gz:4: '
}

test_a_bomb_costs_time_only() {
    head -c 300000000 /dev/zero | tr '\0' '\n' | gzip -9c >bomb.gz
    takes 0 bomb.gz -s batcher.sink=null --report report.json
    jq -e '.memory.peak_rss < 64000000 // true' report.json >/dev/null || fail "memory grew"
    expect_err '^copy: 300,000,000 rows'
}

test_bad_settings_are_refused() {
    rows 1 >rows.txt
    takes 78 rows.txt -s source.file.compression=gzip
    expect_err "compression.*gz"
    takes 78 rows.txt -s source.file.max_window=1
    expect_err "max_window"
}

run_tests "$@"
