#!/bin/bash
# What the sinks write, read back by gzip, zstd, sort and cmp.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# into SETTINGS: in.txt goes to the sink `file` with these settings.
into() {
    cat >sink.yaml <<YAML
name: sink
source: { file: { paths: in.txt } }
batcher:
  sink:
    file: $1
YAML
    run run sink.yaml
}

# by_key SETTINGS: rows "KEY;..." into a file for each key.
by_key() {
    cat >keys.yaml <<YAML
name: keys
source: { file: { paths: in.txt } }
processor: { steps: [ split: { delimiter: ";", into: { key: text, rest: text } } ] }
batcher:
  key: key
  timeout: 10s
  sink:
    file: $1
failed: { sink: { file: { path: failed.txt, format: lines } } }
YAML
    run run keys.yaml
}

lines() {
    "$BELTWAY" generate lines --rows "$1" -o in.txt 2>/dev/null
}

# ---- compression ---------------------------------------------------------------

test_gzip_is_read_by_gzip() {
    lines 20000
    for level in 0 1 9; do
        into "{ path: out.gz, compression: gz, level: $level }"
        expect_code 0
        gzip -t out.gz || fail "level $level: not whole"
        expect_same in.txt <(gzip -dc out.gz)
    done
    (($(stat -c %s out.gz) * 4 < $(stat -c %s in.txt))) || fail "hardly smaller"
}

test_zstd_is_read_by_zstd() {
    lines 20000
    for level in 0 1 12; do
        into "{ path: out.zst, compression: zstd, level: $level }"
        expect_code 0
        zstd -q -t out.zst || fail "level $level: not whole"
        expect_same in.txt <(zstd -q -dc out.zst)
    done
}

test_packed_rows_are_appended() {
    lines 1000
    for _ in 1 2; do
        into '{ path: out.gz, mode: append, compression: gz }'
        expect_code 0
    done
    expect_same <(cat in.txt in.txt) <(gzip -dc out.gz)
}

test_rows_go_on_behind_what_a_killed_run_left() {
    lines 20000
    for more in '' ', compression: gz' ', compression: zstd' ', direct: auto'; do
        rm -f out
        into "{ path: out, mode: append, sync: batch$more }"
        truncate -s -7 out
        into "{ path: out, mode: append, sync: batch$more }"
        expect_code 0
        case $more in
        *gz*) gzip -dc out ;;
        *zstd*) zstd -q -dc out ;;
        *) cat out ;;
        esac >rows.txt
        expect_same in.txt <(tail -n 20000 rows.txt)
    done
}

test_no_rows_are_a_whole_member() {
    : >in.txt
    into '{ path: out.gz, compression: gz }'
    gzip -t out.gz || fail "gz: not whole"
    into '{ path: out.zst, compression: zstd }'
    zstd -q -t out.zst || fail "zstd: not whole"
    run run sink.yaml -s 'batcher.sink={ stdout: { compression: gz } }'
    expect_code 0
    gzip -t <"$work/out" || fail "stdout: not whole"
}

test_stdout_is_packed() {
    lines 20000
    into out.txt
    run run sink.yaml -s 'batcher.sink={ stdout: { compression: zstd, level: 5 } }'
    expect_code 0
    expect_same in.txt <(zstd -q -dc <"$work/out")
}

test_a_member_each_batch_survives_a_cut_file() {
    lines 20000
    into '{ path: out.gz, compression: gz }'
    truncate -s $(($(stat -c %s out.gz) * 2 / 3)) out.gz
    gzip -dc out.gz >rows.txt 2>"$work/err" && fail "a cut file is whole"
    (($(wc -l <rows.txt) > 10000)) || fail "few rows are left"
    expect_same rows.txt <(head -c "$(stat -c %s rows.txt)" in.txt)
}

test_levels_that_there_are_not() {
    lines 1
    into '{ path: out, compression: gz, level: 12 }'
    expect_code 78
    expect_err 'sink.yaml:5:11: level: gz has at most 9'
    into '{ path: out, level: 3 }'
    expect_code 78
    expect_err 'level needs compression'
    into '{ path: out, compression: bz2 }'
    expect_code 78
    expect_err 'none, gz, zstd'
    into out
    run run sink.yaml -s 'batcher.sink={ stdout: { level: 3 } }'
    expect_code 78
    expect_err 'level needs compression'
}

# ---- rotation ------------------------------------------------------------------

test_rotation_by_size() {
    lines 50000
    mkdir out
    into "{ path: 'out/{n}.txt', rotate: { size: 1MB } }"
    expect_code 0
    expect_same in.txt <(cat out/*.txt)
    (($(ls out | wc -l) >= 8)) || fail "few files"
    for file in out/*; do
        (($(stat -c %s "$file") <= 1000000)) || fail "$file is too large"
        [[ $(tail -c 1 "$file") == "" ]] || fail "$file ends within a row"
    done
    into "{ path: 'out/{n}.txt', rotate: { size: 1MB } }" # again: nothing is replaced
    expect_same <(cat in.txt in.txt) <(cat out/*.txt)
}

test_rotation_keeps_the_last_files() {
    lines 50000
    mkdir out
    into "{ path: 'out/{n}.gz', compression: gz, rotate: { size: 100kB, keep: 3 } }"
    expect_code 0
    (($(ls out | wc -l) == 3)) || fail "$(ls out)"
    expect_same <(cat out/* | gzip -dc) <(tail -c "$(cat out/* | gzip -dc | wc -c)" in.txt)
}

test_rotation_of_each_key_by_time() {
    awk 'BEGIN { for (i = 0; i < 3000; i++) print "k" i % 3 ";" i }' >in.txt
    mkdir out
    by_key "{ path: 'out/{key}-{date}-{n}', rotate: { every: 1s } }"
    run run keys.yaml -s 'source.rate={ messages: 1500, per: 1s }' -s batcher.size=10
    expect_code 0
    for key in k0 k1 k2; do
        expect_same <(grep "^$key;" in.txt in.txt -h) <(cat out/$key-*)
        (($(ls out/$key-* | wc -l) >= 3)) || fail "few files: $(ls out)"
    done
}

test_rotation_that_cannot_be() {
    lines 1
    into "{ path: out, rotate: { size: 1MB } }"
    expect_code 78
    expect_err 'sink.yaml:5:[0-9]+: rotate: .*put \{n\} into path'
    into "{ path: 'out-{n}', rotate: { size: 1 } }"
    expect_code 78
    expect_err 'sink.yaml:5:[0-9]+: .*needs a unit'
    expect_only in.txt sink.yaml
}

# ---- a file each key -----------------------------------------------------------

test_names_that_mean_nothing() {
    lines 1
    into "out/{level}.txt"
    expect_code 78
    expect_err 'sink.yaml:5:11: path: no \{level\} in names of files; there are \{key\}, \{n\} and'
    into "{ path: 'out/{key}.txt' }"
    expect_code 78
    expect_err "sink.yaml:5:19: 'out/\\{key\\}.txt' has a file for each key: .* batcher.key: FIELD"
    expect_only in.txt sink.yaml
    into "'{}-{a b}-{\"x\"}-{n.txt'"
    expect_code 0
    expect_same in.txt '{}-{a b}-{"x"}-{n.txt'
}

test_keys_that_would_leave_the_directory() {
    mkdir out
    printf '%s\n' '../../etc/passwd;1' '..;2' '.;3' '/;4' 'a/b;5' 'a%2Fb;6' ';7' '%;8' '-rf;9' \
        $'n\xc3\xbcl;10' '~;11' '*;12' >in.txt
    printf 'nul\0l;13\n' >>in.txt
    printf '%300s;14\n' x | tr ' ' y >>in.txt
    by_key "out/{key}"
    expect_code 1
    (($(ls -A out | wc -l) == 13)) || fail "$(ls -A out)"
    for name in '%2E.%2F..%2Fetc%2Fpasswd' '%2E.' '%2E' '%2F' 'a%2Fb' 'a%252Fb' '%' '%25' '-rf' \
        'n%C3%BCl' '%7E' '%2A' 'nul%00l'; do
        (($(wc -l <"out/$name") == 1)) || fail "no row in $name"
    done
    expect_same <(head -13 in.txt | sort) <(cat out/* out/.[!.]* 2>/dev/null | sort)
    expect_same <(tail -1 in.txt) failed.txt
    expect_err '300 bytes is longer'
}

# Some keys have many of 64 neighbours, some few: rows keep their order in each file.
test_frequent_and_rare_keys() {
    awk 'BEGIN { for (i = 0; i < 100000; i++) {
        k = i * 7919 % 64; key = k < 30 ? "a" : k < 50 ? "b" : k < 54 ? "long-key-" k : "" i % 997
        print key ";" i } }' >in.txt
    for more in 'concurrency: 1' 'concurrency: 2' 'size: 7'; do
        rm -rf out
        mkdir out
        by_key "out/{key}"
        sed -i "s/^  key: key/&\n  $more/" keys.yaml
        run run keys.yaml
        expect_code 0
        (($(ls out | wc -l) == 1003)) || fail "$(ls out | wc -l) files"
        for key in a b long-key-51 3 996; do
            expect_same <(grep "^$key;" in.txt) "out/$key"
        done
        expect_same <(sort in.txt) <(cat out/* | sort)
    done
}

test_a_hundred_thousand_keys() {
    # In memory: some file systems make files slowly where many were removed just now.
    memory=$(mktemp -d /dev/shm/belt-XXXXXX) || skip "no /dev/shm"
    trap 'rm -rf "$memory"' EXIT
    cd "$memory" || fail "no $memory"
    awk 'BEGIN { for (i = 0; i < 200000; i++) print "key" i * 7919 % 100000 ";" i }' >in.txt
    mkdir out
    by_key "{ path: 'out/{key}', open_files: 16 }"
    expect_code 0
    (($(ls out | wc -l) == 100000)) || fail "$(ls out | wc -l) files"
    expect_same <(sort -s -t ';' -k 1,1 in.txt) \
        <(find out -type f | sort | xargs cat | sort -s -t ';' -k 1,1)
    echo 'one;more' >>in.txt
    by_key "{ path: 'out/{key}', open_files: 16, max_files: 100000 }"
    expect_code 1
    expect_same <(echo 'one;more') failed.txt
    expect_err 'raise max_files'
}

# ---- durable -------------------------------------------------------------------

test_durable_batches() {
    lines 50000
    into '{ path: out.txt, mode: append, sync: batch }'
    expect_code 0
    expect_same in.txt out.txt
    into '{ path: out.zst, mode: append, sync: batch, sync_every: 20ms, compression: zstd }'
    expect_code 0
    expect_same in.txt <(zstd -q -dc out.zst)
    into '{ path: end.txt, sync: end }'
    expect_code 0
    expect_same in.txt end.txt
}

test_durable_batches_of_many_keys() {
    awk 'BEGIN { for (i = 0; i < 20000; i++) print "k" i % 50 ";" i }' >in.txt
    mkdir out
    by_key "{ path: 'out/{key}', mode: append, sync: batch, open_files: 8 }"
    expect_code 0
    expect_same <(sort -s -t ';' -k 1,1 in.txt) <(cat out/* | sort -s -t ';' -k 1,1)
}

test_durable_where_nothing_can_be_synced() {
    lines 100
    into '{ path: /dev/null, mode: append, sync: batch }'
    expect_code 0
}

# killed_runs MORE: with these settings, killed at any moment, what its source counts as
# settled is in the files.
killed_runs() {
    cat >follow.yaml <<YAML
name: follow
source: { file: { paths: in.txt, follow: true, state: positions } }
batcher:
  bytes: 16KiB
  timeout: 20ms
  sink: { file: { path: "out/{n}", rotate: { size: 1MB }, $1 } }
YAML
    lines 60000
    mv in.txt all.txt
    mkdir out
    : >in.txt
    local part
    for part in 1 2 3 4; do
        "$BELTWAY" run follow.yaml 2>"$work/err" &
        local pid=$!
        tail -n "+$((part * 15000 - 14999))" all.txt | head -15000 >>in.txt
        sleep "0.$((part * 17 % 50 + 20))"
        kill -9 $pid
        wait $pid 2>/dev/null
    done
    timeout -s INT 3 "$BELTWAY" run follow.yaml 2>"$work/err"
    # Each at least once; the last row of a file that was being written may be torn.
    expect_same <(sort -u all.txt) <(cat out/* | grep -aFxf all.txt | sort -u)
}

test_durable_batches_of_a_run_that_is_killed() {
    killed_runs 'sync: batch'
}

# ---- past the page cache ---------------------------------------------------------

test_files_past_the_page_cache() {
    lines 30000
    for more in '' ', sync: end' ', mode: append, sync: batch' ', compression: gz'; do
        into "{ path: out, direct: auto$more }"
        expect_code 0
        case $more in
        *gz) expect_same in.txt <(gzip -dc out) ;;
        *append*) expect_same <(cat in.txt in.txt) out ;; # behind an end that fills no block
        *) expect_same in.txt out ;;
        esac
    done
    mkdir rotated
    into "{ path: 'rotated/{n}', direct: auto, sync: batch, rotate: { size: 1MB } }"
    expect_same in.txt <(cat rotated/*)
    (($(stat -c %s rotated/000001) <= 1000000)) || fail "a file is too large"
}

# A run that is killed leaves what came first, and nothing else: no block is padded.
test_a_killed_run_leaves_the_beginning_of_its_rows() {
    lines 60000
    for when in 1 2 3 4; do
        cat >sink.yaml <<'YAML'
source: { file: { paths: in.txt }, rate: { messages: 100000, burst: 1000 } }
batcher: { bytes: 40KiB, sink: { file: { path: out, mode: append, direct: auto } } }
YAML
        rm -f out
        "$BELTWAY" run sink.yaml 2>"$work/err" &
        local pid=$!
        sleep "0.$((when * 13 % 40 + 10))"
        kill -9 $pid
        wait $pid 2>/dev/null
        [[ -s out ]] || fail "nothing was written"
        expect_same out <(head -c "$(stat -c %s out)" in.txt)
    done
}

test_durable_batches_past_the_page_cache_of_a_run_that_is_killed() {
    killed_runs 'sync: batch, direct: auto'
}

test_a_file_system_without_a_way_past_its_cache() {
    lines 10
    into '{ path: /proc/self/comm, mode: append, direct: true }'
    expect_code 78
    expect_err '/proc/self/comm: its file system cannot be written past the page cache: set direct'
    into '{ path: out.txt, direct: maybe }'
    expect_code 78
    expect_err 'sink.yaml:5:36: .direct. '
}

test_the_plan_counts_blocks_of_direct_files() {
    lines 1
    into '{ path: out.txt, direct: false }'
    "$BELTWAY" plan --json sink.yaml >cached.json
    into '{ path: out.txt, direct: auto }'
    "$BELTWAY" plan --json sink.yaml >direct.json
    local more=$(($(jq .memory_bytes direct.json) - $(jq .memory_bytes cached.json)))
    ((more == 8 << 20)) || fail "eight blocks of 1 MiB are $more bytes more"
}

# stops_at_its_limit SINK LEAST: whole rows, more than LEAST of 20,000 (3.5 MB), all accounted for.
stops_at_its_limit() {
    lines 20000
    into "$1"
    (ulimit -f 1024 && run run sink.yaml --report report.json && echo $code >code)
    [[ $(<code) == 1 ]] || fail "exit code $(<code)"
    expect_err 'File too large'
    local rows failed
    rows=$(wc -l <out.txt.partial)
    ((rows > $2 && rows < 6500)) || fail "$rows rows"
    expect_same out.txt.partial <(head -c "$(stat -c %s out.txt.partial)" in.txt)
    failed=$(grep -oE '[0-9,]+ failed' "$work/err" | tr -dc 0-9)
    ((rows + failed == 20000)) || fail "$rows written, $failed failed"
}

test_a_direct_file_at_its_limit_has_whole_rows() {
    stops_at_its_limit '{ path: out.txt, direct: auto }' 3000
}

test_what_a_later_run_would_replace_is_not_durable() {
    lines 1
    into '{ path: out, sync: batch }'
    expect_code 78
    expect_err 'sink.yaml:5:11: sync: batch: .*set mode: append'
}

# ---- the disk is full ----------------------------------------------------------

test_a_file_at_its_limit_has_whole_rows() {
    stops_at_its_limit out.txt 5000
}

test_goes_on_when_there_is_room_again() {
    need_root
    mkdir small
    mount -t tmpfs -o size=4m tmpfs small || skip "cannot mount"
    trap 'umount small' EXIT
    lines 50000 # 9 MB
    head -c 1M /dev/zero >small/other
    cat >sink.yaml <<'YAML'
name: sink
source: { file: { paths: in.txt } }
batcher: { sink: { file: small/out.txt } }
failed: { attempts: 1000, backoff: 1ms, backoff_max: 10ms, sink: { file: failed.txt } }
YAML
    (sleep 1 && mount -o remount,size=64m small) &
    run run sink.yaml
    wait
    expect_code 0
    # A batch that was refused comes later than those behind it: the rows, not their order.
    expect_same <(sort in.txt) <(sort small/out.txt)
}

run_tests "$@"
