#!/bin/bash
# CSV from a file into fields, beside what Miller reads.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# rows COUNT: a header and rows whose texts have newlines, delimiters and quotes in them.
rows() {
    awk -v n="$1" 'BEGIN {
        srand(11)
        print "id,name,price,note"
        for (i = 1; i <= n; i++) {
            name = "name " i % 97
            if (rand() < 0.3) name = "\"" name ", the \"\"" i % 13 "th\"\"\""
            note = rand() < 0.2 ? "\"two\nlines, " i "\"" : rand() < 0.2 ? "\"\"" : "none"
            if (rand() < 0.1) note = "\"\"\"\"\",\n\"\"" i "\"\"\""
            printf "%d,%s,%d.%02d,%s\n", i, name, rand() * 1000, rand() * 100, note
        }
    }'
}

# table [NDJSON]: takes rows.csv apart, into rows.ndjson.
table() {
    cat >table.yaml <<'YAML'
name: table
source: { file: { paths: rows.csv, records: csv } }
processor:
  steps:
    - csv: { into: { id: int, name: text, price: decimal(2), note: text } }
batcher: { sink: { file: { path: rows.ndjson, format: ndjson, mode: replace } } }
failed: { sink: { file: { path: failed.ndjson, mode: replace } } }
YAML
}

# Of the same types on both sides: texts all.
texts() {
    jq -c 'map_values(if type == "number" then . * 100 | round | tostring else . end)'
}

test_rows_are_those_that_miller_reads() {
    rows 20000 >rows.csv
    table
    tail -n +2 rows.csv >body.csv
    mlr -S --icsv --ojsonl cat rows.csv |
        jq -c '.id |= (tonumber * 100 | tostring) | .price |= (tonumber * 100 | round | tostring)' \
            >want.json
    for args in "" "--lanes 3 -s source.concurrency=3"; do
        # shellcheck disable=SC2086
        run run table.yaml -s source.file.paths=body.csv -s source.file.chunk=4KiB $args
        expect_code 0
        texts <rows.ndjson >got.json
        expect_same got.json want.json
    done
}

test_what_is_wrong_fails_with_its_line() {
    printf '%s\n' '1,a,1.00,x' '2,"a"b,1.00,x' '3,"two' 'lines",9,x' '4,a"b,1.00,x' '5,a,x,y' \
        '6,a,1' '7,"",2.50,"z"' >rows.csv
    table
    run run table.yaml
    expect_code 1
    expect_err 'rows.csv:2: .*text behind the closing quote of field name'
    expect_err 'rows.csv:5: .*a quote within the unquoted field name'
    expect_err "rows.csv:6: .*price: 'x' is not a decimal"
    expect_err 'rows.csv:7: .*3 fields where there should be 4: no note'
    [[ $(jq -r .id rows.ndjson | tr '\n' ' ') == '1 3 7 ' ]] || fail "$(cat rows.ndjson)"
    [[ $(jq -r 'select(.id == 3).name' rows.ndjson) == $'two\nlines' ]] || fail "no newline"
}

test_lenient_quotes_and_missing_fields_are_taken() {
    printf '%s\n' '2,"a"b,1,x' '4,a"b,1,x,y' '6,a,1' >rows.csv
    table
    run run table.yaml -s processor.steps.0.csv.quotes=lenient \
        -s processor.steps.0.csv.extra=ignore -s processor.steps.0.csv.missing=empty
    expect_code 0
    [[ $(jq -c '[.name, .note]' rows.ndjson | tr '\n' ' ') == \
        '["ab","x"] ["a\"b","x"] ["a",""] ' ]] || fail "$(cat rows.ndjson)"
}

test_utf8_is_kept_failed_or_replaced() {
    printf '1,\xc3\xa4\xff,1,x\n2,\xe2\x82\xac,1,x\n' >rows.csv
    table
    run run table.yaml -s processor.steps.0.csv.utf8=replace
    expect_code 0
    [[ $(jq -r .name rows.ndjson | tr '\n' ' ') == 'ä� € ' ]] || fail "$(cat rows.ndjson)"
    run run table.yaml -s processor.steps.0.csv.utf8=fail
    expect_code 1
    expect_err 'rows.csv:1: .*name: not UTF-8 from byte 3 on: ff'
    printf '1;\xff\n' >rows.csv
    run run table.yaml -s 'processor.steps.0={ split: { delimiter: ";", utf8: fail,
        into: { id: int, name: text } } }'
    expect_code 1
    expect_err 'rows.csv:1: .*name: not UTF-8 from byte 1 on: ff'
}

test_steps_run_in_workers_alike() {
    rows 3000 | tail -n +2 >rows.csv
    table
    run run table.yaml
    expect_code 0
    mv rows.ndjson want.ndjson
    run run table.yaml --isolation process
    expect_code 0
    expect_same rows.ndjson want.ndjson
}

run_tests "$@"
