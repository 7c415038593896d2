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

# headed: takes rows apart by the names in their files' headers.
headed() {
    table
    cat >headed.yaml <<'YAML'
source: { file: { records: { csv: { header: true } } } }
processor:
  steps:
    - csv: { header: true, into: { id: int, name: text, price: decimal(2), note: text } }
YAML
}

# want.json and got.json, in the order of ids.
expect_same_rows() {
    jq -sc 'sort_by(.id | tonumber)[]' want.json >want.sorted
    jq -sc 'sort_by(.id | tonumber)[]' got.json >got.sorted
    expect_same got.sorted want.sorted
}

test_headers_name_columns_in_any_order() {
    rows 9000 >one.csv
    rows 6000 | mlr -S --csv put '$id = "1000000" . $id' then reorder -f note,price >two.csv
    rows 3000 |
        mlr -S --csv put '$id = "2000000" . $id; ${other one} = "x,y"' \
            then reorder -f name then reorder -f 'other one' >three.csv
    { printf '\xef\xbb\xbf'; rows 10 | mlr -S --csv put '$id = "3000000" . $id'; } >four.csv
    gzip -k two.csv
    mlr -S --icsv --ojsonl cut -o -f id,name,price,note one.csv two.csv three.csv four.csv |
        jq -c '.id |= (tonumber * 100 | tostring) | .price |= (tonumber * 100 | round | tostring)' \
            >want.json
    headed
    for args in "two.csv" "two.csv.gz" "two.csv --lanes 3 -s source.concurrency=3" \
        "two.csv.gz --isolation process"; do
        rest=${args#"${args%% *}"}
        # shellcheck disable=SC2086
        run run table.yaml --with headed.yaml -s source.file.chunk=4KiB \
            -s "source.file.paths=[one.csv, ${args%% *}, three.csv, four.csv]" $rest
        expect_code 0
        texts <rows.ndjson >got.json
        expect_same_rows
    done
}

test_headers_are_read_from_standard_input_and_behind_another_processor() {
    rows 500 >rows.csv
    mlr -S --icsv --ojsonl cat rows.csv |
        jq -c '.id |= (tonumber * 100 | tostring) | .price |= (tonumber * 100 | round | tostring)' \
            >want.json
    headed
    run run table.yaml --with headed.yaml -s source.file.paths=- <rows.csv
    expect_code 0
    texts <rows.ndjson >got.json
    expect_same_rows
    cat >two.yaml <<'YAML'
name: two
source: { file: { paths: rows.csv, records: { csv: { header: true } } } }
processors:
  first: { steps: [ drop: { payload: x } ] }
  second:
    from: first
    steps: [ csv: { header: true, into: { id: int, name: text, price: decimal(2), note: text } } ]
batcher: { sink: { file: { path: rows.ndjson, format: ndjson, mode: replace } } }
YAML
    for args in "" "-s processors.second.isolation=process"; do
        # shellcheck disable=SC2086
        run run two.yaml $args
        expect_code 0
        texts <rows.ndjson >got.json
        expect_same_rows
    done
}

test_tabs_without_quotes_are_those_that_miller_reads() {
    awk 'BEGIN {
        print "id\tna\"me\tnote"
        for (i = 0; i < 3000; i++)
            printf "%d\t%s%d\t%s%s", i, i % 3 ? "\"" : "", i, i % 7 ? "a\"b" : "\"", "\n"
    }' >in.tsv
    cat >tabs.yaml <<'YAML'
source:
  file:
    paths: in.tsv
    chunk: 4KiB
    records: { csv: { delimiter: "\t", quote: "", header: true } }
processor:
  steps: [ csv: { delimiter: "\t", quote: "", header: true, into: { note: text, id: text } } ]
batcher: { sink: { file: { path: out.ndjson, format: ndjson, mode: replace } } }
YAML
    mlr -S --itsv --ojsonl cut -o -f note,id in.tsv | jq -c . >want.json
    run run tabs.yaml
    expect_code 0
    expect_same <(jq -c . out.ndjson) want.json
}

test_columns_may_have_any_name() {
    printf '%s\n' '"Price, EUR",id,Order ID,"say ""x"""' '1.50,7,1,a' '2,8,2,"b, c"' >in.csv
    printf '%s\n' 'Order ID,say x' '3,d' >lacks.csv
    cat >any.yaml <<'YAML'
source: { file: { paths: in.csv, records: { csv: { header: true } } } }
processor:
  steps:
    - csv:
        header: true
        into:
          order: { column: Order ID, type: int }
          price: { column: 'Price, EUR', type: decimal(2) }
          id: int
          said: { column: 'say "x"', type: text }
batcher: { sink: { stdout: { format: { csv: { header: false } } } } }
YAML
    run run any.yaml
    expect_code 0
    printf '%s\n' '1,1.50,7,a' '2,2.00,8,"b, c"' >want.csv
    expect_same "$work/out" want.csv
    run run any.yaml -s source.file.paths=lacks.csv
    expect_code 1
    expect_err "lacks.csv:2: the header has no column 'Price, EUR': Order ID,say x"
}

test_a_header_that_lacks_a_column_fails_its_rows() {
    printf '%s\n' 'id,name,cost,note' '1,a,2,x' >rows.csv
    printf '%s\n' 'id,name,price,name,note' '2,a,2,b,x' >twice.csv
    printf '%s\n' 'note,price,name,id' 'x,2.5,a,3' 'x,2.5,a' 'x,y,a,5' >good.csv
    : >empty.csv
    printf '%s\n' '"id,name' '7,a,2,b,x' >open.csv
    headed
    run run table.yaml --with headed.yaml \
        -s 'source.file.paths=[rows.csv, twice.csv, good.csv, empty.csv, open.csv]'
    expect_code 1
    expect_err "rows.csv:2: .*the header has no column 'price': id,name,cost,note"
    expect_err "twice.csv:2: .*the header has more than one column 'name'"
    expect_err 'good.csv:3: .*3 fields where there should be 4: no id'
    expect_err "good.csv:4: .*price: 'y' is not a decimal"
    expect_err 'open.csv:1: .*a quoted field does not end'
    expect_err 'open.csv:2: .*no header that says which column id is'
    [[ $(jq -c .id rows.ndjson) == 3 ]] || fail "$(cat rows.ndjson)"
}

test_headers_that_differ_are_kept_up_to_a_limit() {
    for i in 1 2 3 4 5 6 7; do
        { printf 'id,name,price,note'; seq -f ",$i%05g" 9000 | tr -d '\n'; echo
          printf '%s,a,2,x\n' "$i"; } >"$i.csv"
    done
    cp 1.csv 8.csv
    headed
    run run table.yaml --with headed.yaml -s 'source.file.paths=*.csv' \
        -s processor.steps.0.csv.missing=empty
    expect_code 1
    expect_err '[0-9].csv:2: .*no header that says which column id is'
    (($(wc -l <rows.ndjson) >= 5)) || fail "$(cat rows.ndjson)"
}

test_headers_are_asked_for_where_they_are_read() {
    rows 3 >rows.csv
    table
    run validate table.yaml -s processor.steps.0.csv.header=true
    expect_code 78
    expect_err 'header: no source reads headers: write records: \{ csv: \{ header: true \} \} there'
    run validate table.yaml -s 'source.file.records={ csv: { header: maybe } }'
    expect_code 78
    expect_err "'header' of records csv must be true or false"
    run run table.yaml -s 'source.file.records={ csv: { header: true } }'
    expect_code 0 # the header is passed over, columns are by position
    [[ $(wc -l <rows.ndjson) == 3 ]] || fail "$(cat rows.ndjson)"
}

test_the_example_does_what_it_says() {
    cp -r "$SOURCE_DIR/examples/csv/." .
    for args in "" "-s source.file.chunk=4KiB --lanes 3 -s source.concurrency=3"; do
        rm -f large.csv failed.ndjson
        # shellcheck disable=SC2086
        run run pipeline.yaml $args
        expect_code 1
        expect_err "orders/amsterdam.csv:6: amount: 'abc' is not a decimal"
        expect_err 'orders/berlin.csv:6: text behind the closing quote of field customer'
        expect_same large.csv expected/large.csv
        # Of two files, in whichever order.
        sort failed.ndjson >failed.sorted
        sort expected/failed.ndjson >expected.sorted
        expect_same failed.sorted expected.sorted
    done
    bash check.sh orders/*.csv >checked.csv
    expect_same large.csv checked.csv
}

run_tests "$@"
