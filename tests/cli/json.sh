#!/bin/bash
# The step json against jq and Miller: the same lines from the same data.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

examples=$SOURCE_DIR/examples/json

# job SETTINGS: a pipeline from in.ndjson to out.ndjson with this step.
job() {
    cat >job.yaml <<YAML
name: job
source: { file: { paths: in.ndjson, chunk: 16KiB } }
processor: { steps: [ json: { $1 } ] }
batcher: { sink: { file: { path: out.ndjson, format: ndjson, mode: replace } } }
failed: { sink: { file: { path: failed.ndjson, mode: replace } } }
YAML
}

log() {
    "$BELTWAY" generate ndjson --rows "$1" --out in.ndjson 2>/dev/null
}

test_the_example() {
    run run "$examples/pipeline.yaml" -s "source.file.paths=$examples/events.ndjson"
    expect_code 1
    expect_same errors.ndjson "$examples/expected/errors.ndjson"
    expect_same <(jq -c '{ reason, payload }' failed.ndjson) \
        <(jq -c '{ reason, payload }' "$examples/expected/failed.ndjson")
    bash "$examples/check.sh" "$examples/events.ndjson" >by_jq.ndjson
    expect_same errors.ndjson by_jq.ndjson
    expect_err '/events\.ndjson:6: not JSON: a string without its closing quote'
    expect_err '/events\.ndjson:7: user\.id: it is not there'
}

test_errors_of_a_log_are_those_of_jq_and_miller() {
    log 100k
    job 'where: { level: error }, into: { ts: text, msg: text }'
    jq -c 'select(.level == "error") | { ts, msg }' in.ndjson >by_jq.ndjson
    mlr --ijsonl --ojsonl filter '$level == "error"' then cut -o -f ts,msg in.ndjson |
        jq -c . >by_mlr.ndjson
    for more in "" "-s processor.steps.0.json.check=all" "--lanes 1" "--backend posix"; do
        run run job.yaml $more
        expect_code 0
        expect_same by_jq.ndjson out.ndjson
        expect_same by_mlr.ndjson out.ndjson
    done
}

test_every_field_of_a_log() {
    log 20k
    job 'into: { ts: text, level: text, method: text, path: text, status: int, ms: int, user: text,
        msg: text }'
    run run job.yaml
    expect_code 0
    expect_same in.ndjson out.ndjson
}

# objects COUNT: members in any order, escapes, spaces, objects within, names twice.
objects() {
    awk -v n="$1" 'function any(a, k) { k = int(rand() * split(a, list, "|")); return list[k + 1] }
        BEGIN {
            srand(7)
            for (i = 0; i < n; i++) {
                line = ""
                for (m = int(rand() * 7); m >= 0; m--) {
                    name = any("level|a|b|l\\u0065vel|\\u00e9|a b|c")
                    value = any("\"error\"|\"err\\u006fr\"|\"info\"|null|true|12|-0.5|1e3|[]|" \
                        "[1, {\"level\": \"error\"}, \"x\"]|{\"level\":\"error\"}|{\"c\":[3]}|" \
                        "\"\\ud83d\\ude00 \\\"q\\\" \\\\ \\/ \\t\"|\"\303\274ber\"|\"\"")
                    line = line any("| |  ") "\"" name "\"" any("|  ") ":" any("| ") value \
                        (m ? "," : "")
                }
                print any("| ") "{" line any("| ") "}"
            }
        }' >in.ndjson
}

test_objects_of_any_kind_as_jq_has_them() {
    objects 30000
    job 'into: { level: { type: raw, default: none },
        c: { path: "b.c[0]", type: raw, default: none },
        a: { path: "a[1].level", type: text, default: none }, e: { path: "/é", type: raw,
        default: none } }'
    # Spaces and escapes of what is raw are those of the input: compared as values.
    jq -c '[ if has("level") then .level else "none" end,
        (.b | if type == "object" and has("c") then .c else ["none"] end | .[0]),
        (.a | if type == "array" and length > 1 then .[1].level else "none" end),
        if has("é") then .["é"] else "none" end ]' in.ndjson >by_jq.ndjson
    run run job.yaml
    expect_code 0
    jq -c 'def value: . as $text | try fromjson catch $text;
        [ (.level | value), (.c | value), .a, (.e | value) ]' out.ndjson >values.ndjson
    expect_same by_jq.ndjson values.ndjson
}

test_rendered_objects_are_those_that_jq_makes() {
    objects 20000
    cat >again.yaml <<'YAML'
name: again
source: { file: { paths: in.ndjson, chunk: 16KiB } }
processor:
  steps:
    - json:
        into:
          level: { type: raw, default: 'null' }
          b: { type: raw, default: '[]' }
          c: { type: text, default: none }
    - render: '{{"someName":{level},"of b":{b},"c":{c:json}}}'
batcher: { sink: { file: { path: out.ndjson, mode: replace } } }
failed: { sink: { file: { path: failed.ndjson, mode: replace } } }
YAML
    jq -c 'select(.c == null or (.c | type) == "string") |
        { someName: .level, "of b": (if has("b") then .b else [] end), c: (.c // "none") }' \
        in.ndjson >by_jq.ndjson
    run run again.yaml
    expect_same by_jq.ndjson <(jq -c . out.ndjson)
    (($(wc -l <by_jq.ndjson) + $(wc -l <failed.ndjson) == 20000)) || fail "rows are missing"
}

test_where_is_jqs_select() {
    objects 30000
    job 'where: { level: [error, "12", "null"] }, into: { level: raw }'
    jq -c 'select(has("level")) | .level | select(. == "error" or . == 12 or . == null)' \
        in.ndjson >by_jq.ndjson
    run run job.yaml
    expect_code 0
    expect_same by_jq.ndjson <(jq -c '.level | fromjson' out.ndjson)
    run run job.yaml -s processor.steps.0.json.check=all
    expect_code 0
    expect_same by_jq.ndjson <(jq -c '.level | fromjson' out.ndjson)
}

# Cut anywhere, a record is JSON when jq says so; what is none is named with its line.
test_records_cut_short() {
    objects 3000
    awk 'BEGIN { srand(3) } { print NR % 3 ? substr($0, 1, int(rand() * length($0))) : $0 }' \
        in.ndjson | iconv -c -f utf-8 -t utf-8 >cut.ndjson
    mv cut.ndjson in.ndjson
    job 'into: { level: { type: raw, default: none } }'
    jq -R '(try fromjson catch false) | type == "object"' in.ndjson >by_jq
    run run job.yaml
    expect_code 1
    expect_same <(grep -n false by_jq | cut -d: -f1) <(
        awk 'NR == FNR { bad[$0]++; next } bad[$0]-- > 0 { print FNR }' \
            <(jq -r .payload failed.ndjson) in.ndjson
    )
    [[ $(wc -l <out.ndjson) == "$(grep -c true by_jq)" ]] || fail "$(wc -l <out.ndjson) kept"
}

test_a_record_of_16_mib() {
    job 'into: { n: int, big: { path: big.1, type: text, default: none } }'
    {
        printf '{"n":1}\n{"n":2,"big":"'
        head -c 16777100 /dev/zero | tr '\0' x
        printf '"}\n{"n":3}\n'
        printf '{"n":4,"big":{'
        awk 'BEGIN { for (i = 0; i < 1000000; i++) printf "\"%d\":\"\",", i }'
        printf '"n":0}}\n'
    } >in.ndjson
    run run job.yaml -s source.file.max_record=16MiB -s processor.steps.0.json.longest=16MiB
    expect_code 0
    expect_same <(printf '%s\n' '{"n":1,"big":"none"}' '{"n":2,"big":"none"}' \
        '{"n":3,"big":"none"}' '{"n":4,"big":""}') out.ndjson
    run run job.yaml -s source.file.max_record=16MiB
    expect_code 1
    expect_err 'in\.ndjson:2: json: 16777116 bytes, longest is 1048576'
}

test_in_workers_within_a_memory_limit() {
    log 20k
    job 'where: { level: error }, into: { ts: text, msg: text }'
    jq -c 'select(.level == "error") | { ts, msg }' in.ndjson >by_jq.ndjson
    run run job.yaml -s processor.isolation=process -s processor.sandbox=strict \
        -s processor.memory=32MiB
    expect_code 0
    expect_same by_jq.ndjson out.ndjson
    run run job.yaml -s processor.isolation=process -s processor.memory=32MiB \
        -s processor.steps.0.json.longest=64MiB
    expect_code 3
    expect_err 'json: no memory for records of 67108864 bytes; a smaller longest takes less'
}

test_bytes_that_are_not_utf8() {
    printf '{"a":"x\xffy"}\n{"a":"z"}\n' >in.ndjson
    job 'into: { a: text }'
    run run job.yaml
    expect_code 1
    expect_same <(echo '{"a":"z"}') out.ndjson
    for how in keep replace; do
        run run job.yaml -s "processor.steps.0.json.utf8=$how"
        expect_code 0
        expect_same <(jq -c . in.ndjson) <(jq -c . out.ndjson)
    done
}

# 4 bytes for each of `longest`, in each instance.
test_the_plan_counts_what_indexes_take() {
    job 'into: { a: text }'
    "$BELTWAY" plan --json job.yaml -s processor.concurrency=2 >small.json
    "$BELTWAY" plan --json job.yaml -s processor.concurrency=2 \
        -s processor.steps.0.json.longest=65MiB >large.json
    local more=$(($(jq .memory_bytes large.json) - $(jq .memory_bytes small.json)))
    ((more == 2 * 4 * (64 << 20))) || fail "64 MiB more are $more bytes more"
}

test_bad_settings_are_refused_with_their_place() {
    log 1
    job 'into: { a: txt }'
    run run job.yaml
    expect_code 78
    expect_err "job\.yaml:3:.*field a: no type 'txt'; did you mean 'text'"
    job 'into: { a: { path: "a[", type: int } }'
    run validate job.yaml
    expect_code 78
    expect_err "path 'a\[': an element is a number from 0 on"
    job 'where: { level: error }, chek: all'
    run validate job.yaml
    expect_code 78
    expect_err "chek.*did you mean 'check'"
}

run_tests "$@"
