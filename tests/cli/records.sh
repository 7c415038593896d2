#!/bin/bash
# Records that are no lines, from the command line.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# rows COUNT: CSV whose texts have newlines, delimiters, quotes and blank lines in them.
rows() {
    awk -v n="$1" 'BEGIN {
        srand(7)
        for (k = 0; k < 900; k++) long = long "\nline " k
        for (i = 1; i <= n; i++) {
            text = "text " i
            if (rand() < 0.3) text = "\"two\nlines, \"\"quoted\"\" " i "\""
            if (rand() < 0.05) text = "\"\n\n,\n\"\"\n" i "\""
            if (rand() < 0.01) text = "\"" i long "\""
            printf "%d,%s,%d\n", i, text, i * 3
        }
    }'
}

test_csv_rows_survive_chunks_and_instances() {
    rows 60000 >in.csv
    for args in "" "-s source.concurrency=1" "--lanes 3 -s source.concurrency=3"; do
        copies in.csv
        # shellcheck disable=SC2086
        run run copy.yaml -s source.file.records=csv -s source.file.chunk=4KiB $args
        expect_code 0
        expect_same copy.txt in.csv
        expect_err '60,?000'
    done
}

test_csv_comes_out_of_pipes_and_packed_files() {
    rows 20000 >in.csv
    gzip -k in.csv
    copies in.csv.gz
    run run copy.yaml -s source.file.records=csv
    expect_code 0
    expect_same copy.txt in.csv
    copies -
    run run copy.yaml -s source.file.records=csv < <(cat in.csv)
    expect_code 0
    expect_same copy.txt in.csv
}

test_fixed_records_and_lengths() {
    seq -f '%09g' 100000 >in.txt
    copies in.txt
    run run copy.yaml -s 'source.file.records={ fixed: 10B }' -s source.file.chunk=4KiB \
        -s 'batcher.sink.file.format=raw'
    expect_code 0
    expect_same copy.txt in.txt
    awk 'BEGIN { for (i = 0; i < 50000; i++) printf "\11%09d", i }' >in.bin
    awk 'BEGIN { for (i = 0; i < 50000; i++) printf "%09d\n", i }' >want.txt
    copies in.bin
    run run copy.yaml -s 'source.file.records={ length: u8 }' -s source.file.chunk=4KiB
    expect_code 0
    expect_same copy.txt want.txt
}

test_what_cannot_be_cut_fails_with_its_place() {
    printf 'a,1\n"b,2\nc,3\n' >in.csv
    copies in.csv
    run run copy.yaml -s source.file.records=csv
    expect_code 1
    expect_err 'in.csv:2: .*does not end before the input does'
    printf 'a,1\nc,3\n' >want.txt
    expect_same copy.txt want.txt
    printf '\377abc\377' >in.bin
    copies in.bin
    run run copy.yaml -s 'source.file.records={ length: u32be }'
    expect_code 1
    expect_err 'in.bin:byte 0: .*cannot be cut'
}

test_bad_settings_are_refused() {
    printf 'a\n' >in.txt
    copies in.txt
    run validate copy.yaml -s 'source.file.records={ length: u31le }'
    expect_code 78
    expect_err "did you mean 'u32le'"
    run help file
    expect_out 'records +lines; csv'
}

run_tests "$@"
