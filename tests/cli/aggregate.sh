#!/bin/bash
# More groups than there is memory for, against sort and awk: one row a key, never two.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

keys=500000 rows=800000

# Every key once, in no order, then 300,000 rows of keys at random; longer than a slot takes.
make_rows() {
    awk -v keys=$keys -v rows=$rows 'BEGIN { for (i = 0; i < rows; i++) {
        if (i >= keys) s = (s * 4093 + 7919) % 500009
        k = (i < keys ? i : s % keys) * 7919 % keys
        printf "a-key-longer-than-31-bytes-%07d;%d\n", k, i % 1000 - 500 } }' >in.txt
    LC_ALL=C sort in.txt | awk -F';' '
        $1 != k { if (NR > 1) print k "," c "," s; k = $1; c = s = 0 }
        { c++; s += $2 }
        END { print k "," c "," s }' >expected.csv
    cat >keys.yaml <<'YAML'
name: keys
source: { file: { paths: in.txt } }
processor: { steps: [ split: { delimiter: ";", into: { key: text, n: int } } ] }
batcher:
  aggregate: { group_by: key, columns: { n: count(), s: sum(n) }, spill: { path: ., size: 1GiB } }
  sink: { file: { path: out.csv, format: { csv: { header: false } } } }
YAML
}

# Bytes that a stage has written to the file.
spilled() {
    awk -v stage="$1" '$0 ~ "\"stage\": \"" stage { match($0, /"spilled": [0-9]+/)
        sum += substr($0, RSTART + 11, RLENGTH - 11) } END { print sum + 0 }' report.json
}

# merges LANES MEMORY: the runs are so many that several merges come before the last one. A
# single one would read no more runs than the last does, so it could not write all bytes again.
merges() {
    run run keys.yaml --lanes "$1" -s "batcher.aggregate.memory=$2" --report report.json
    expect_code 0
    (($(spilled batcher) > $(spilled processor))) ||
        fail "merged once: $(spilled batcher) after $(spilled processor) bytes"
    expect_same out.csv expected.csv
}

test_runs_that_are_merged_in_several_passes() {
    make_rows
    (($(wc -l <expected.csv) == keys)) || fail "not $keys keys"
    merges 1 2MiB
    merges 2 3MiB
}

run_tests "$@"
