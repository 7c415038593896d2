#!/bin/bash
# Files that are followed: whole programs that are stopped, killed and started again.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# follows OUT [ARG...]: in the background, as $pid; rows go to OUT.
follows() {
    local out=$1
    shift
    cat >follow.yaml <<'YAML'
name: follow
source: { file: { paths: "logs/*.log", follow: true, state: positions, rotated_wait: 50ms } }
batcher: { timeout: 5ms, sink: { file: { path: out.txt, mode: append } } }
YAML
    timeout -k 5 200 "$BELTWAY" run follow.yaml -s "batcher.sink.file.path=$out" "$@" \
        >"$work/out" 2>"$work/err" &
    waited=$!
    until pid=$(pgrep -P "$waited"); do
        kill -0 "$waited" || fail "it did not start"
    done
}

# until_ COMMAND...: waits for what must come; a minute is never what it takes.
until_() {
    local end=$((SECONDS + 60))
    until "$@" 2>/dev/null; do
        ((SECONDS < end)) || fail "waited a minute for: $*"
        kill -0 "$waited" 2>/dev/null || fail "it ended"
        sleep 0.02
    done
}

stops() {
    kill -TERM "$pid"
    wait "$waited"
    code=$?
}

has_lines() {
    (($(cat "$2"* | wc -l) >= $1))
}

test_a_stop_is_its_end() {
    mkdir logs
    seq 3 >logs/a.log
    follows out.txt
    until_ has_lines 3 out.txt
    printf '4\n5' >>logs/a.log
    until_ has_lines 4 out.txt
    stops
    expect_code 0
    expect_same out.txt <(seq 4)
    expect_err '^follow: 4 rows .* inotify'
    grep -q ' 8 5 logs/a.log$' positions || fail "$(cat positions)"
}

test_rotation_and_truncation() {
    mkdir logs
    exec 5>>logs/a.log
    echo one >&5
    follows out.txt
    until_ has_lines 1 out.txt
    mv logs/a.log logs/a.log.1
    echo new >logs/a.log
    until_ has_lines 2 out.txt
    printf 'two\nhalf' >&5
    until_ has_lines 3 out.txt
    exec 5>&-
    until_ has_lines 4 out.txt
    : >logs/a.log
    until_ grep -q ' 0 1 logs/a.log' positions
    echo again >>logs/a.log
    until_ has_lines 5 out.txt
    stops
    expect_code 0
    expect_same out.txt <(printf '%s\n' one new two half again)
    expect_err 'files left 1, truncated 1'
}

has_open() {
    readlink "/proc/$pid"/fd/* | grep -qxF "$1"
}

test_totals_are_written_when_it_is_stopped() {
    mkdir logs
    seq 10 >logs/a.log
    copies 'logs/*.log'
    timeout -k 5 100 "$BELTWAY" run copy.yaml -s source.file.follow=true --report report.json \
        -s 'processor.steps=[{ split: { delimiter: ";", into: { n: int } } }]' \
        -s 'batcher={ aggregate: { columns: { rows: count(), sum: sum(n) } },
                      sink: { file: { path: totals.csv, format: csv } } }' \
        >"$work/out" 2>"$work/err" &
    waited=$!
    until_ pgrep -P "$waited" >pid.txt
    pid=$(pgrep -P "$waited")
    until_ has_open "$PWD/logs/a.log"
    sleep 0.5 # what is open is read next
    stops
    expect_code 0
    tail -1 totals.csv | grep -qx '10,55' || fail "$(cat totals.csv)"
}

test_failed_rows_name_file_and_line() {
    mkdir logs
    printf 'a;1\nbad\n' >logs/a.log
    follows out.txt \
        -s 'processor.steps=[{ split: { delimiter: ";", into: { k: text, n: int } } }]' \
        -s 'failed.sink={ file: { path: failed.ndjson, mode: append } }' -s failed.timeout=5ms
    until_ grep -q bad failed.ndjson
    stops
    expect_code 1
    expect_err '^logs/a.log:2: '
}

all_lines() {
    cmp -s <(sort -nu out.*) <(seq "$1")
}

# places FILE: the lines that its positions point to.
places() {
    local ino next file
    while read -r _ ino _ _ _ next _; do
        file=$(find logs -inum "$ino")
        [[ ! $file ]] || sed -n "${next}p" "$file"
    done < <(tail -n +2 "$1")
}

# Killed again and again while lines are written and files rotated: nothing is lost, and
# what comes twice was not yet behind the positions that the killed run had left.
test_nothing_is_lost_when_it_is_killed() {
    local n=0 line=0 from i first next
    mkdir logs
    for round in 1 2 3 4 5 6 7 8; do
        # The last rows of each round stay in a batch that is open when it is killed.
        follows "out.$round.txt" -s batcher.size=411 -s batcher.timeout=100s
        from=$line
        for i in $(seq 20); do
            seq $((line + 1)) $((line += 500)) >>logs/a.log
            if ((i == 5 * (round % 4))); then
                # What nobody has seen is nobody's to find under a name that is not followed.
                until_ grep -q " $(stat -c %i logs/a.log) " positions
                mv logs/a.log "logs/old.$((++n))"
            fi
        done
        until_ has_lines $((from + 7000)) out.
        # Positions are written every 0.1 s: in every other round, all that they may say is.
        ((round % 2)) || sleep 0.4
        kill -KILL "$pid"
        wait "$waited" 2>/dev/null
        cp positions "positions.$round" 2>/dev/null || : >"positions.$round"
    done
    follows out.last.txt
    until_ all_lines $line
    stops
    expect_code 0
    # Each run gave lines in order, once, but for lines that a kill cut off.
    for round in 1 2 3 4 5 6 7 8; do
        [[ ! -s out.$round.txt ]] || sort -nuc <(head -n -1 "out.$round.txt") ||
            fail "round $round"
    done
    # What a run knew is read from the positions that it left, not from before.
    for round in 1 2 3 4 5 6 7; do
        next=out.$((round + 1)).txt
        first=$(places "positions.$round" | sort -n | head -1)
        [[ ! $first || ! -s $next ]] || (($(head -1 "$next") >= first)) ||
            fail "$next begins at $(head -1 "$next"), not $first"
    done
}

test_idle_costs_nothing() {
    mkdir logs
    echo 1 >logs/a.log
    follows out.txt
    until_ grep -q ' 2 2 logs/a.log' positions
    cpu() { cat /proc/"$pid"/task/*/schedstat | awk '{ s += $1 } END { print s }'; }
    local before after
    before=$(cpu)
    sleep 3
    after=$(cpu)
    stops
    # 1.2 ms on a machine that is idle; other work there makes each wake ten times as dear.
    ((after - before < 60000000)) || fail "$((after - before)) ns in 3 s"
    echo "  idle: $((after - before)) ns of CPU in 3 s"
}

test_the_example_of_the_page() {
    sed -n '/^<!-- follow -->/,/^```$/p' "$SOURCE_DIR/docs/sources.md" |
        sed '/^<!--/d; /^```/d' >tail.yaml
    mkdir logs
    echo row >logs/a.log
    timeout -k 5 100 "$BELTWAY" run tail.yaml >"$work/out" 2>"$work/err" &
    waited=$!
    until_ grep -q row all.txt
    pid=$(pgrep -P "$waited")
    stops
    expect_code 0
}

test_bad_settings_are_refused() {
    mkdir logs
    copies 'logs/*.log'
    run run copy.yaml -s source.file.follow=true -s source.file.begin=middle
    expect_code 78
    expect_err 'begin'
    run run copy.yaml -s source.file.state=positions
    expect_code 78
    expect_err 'state is for files that are followed: set follow: true'
    run run copy.yaml -s source.file.follow=true -s source.file.paths=-
    expect_code 78
    expect_err 'only files can be followed'
    run validate copy.yaml -s source.file.follow=true -s source.file.state=positions \
        -s 'batcher={ aggregate: { columns: { n: count() } }, sink: stdout }'
    expect_code 78
    expect_err 'cannot give them again'
    run validate copy.yaml -s source.file.follow=true -s source.file.state=positions \
        -s 'batcher.sink={ file: { path: out.txt } }'
    expect_code 78
    expect_err 'a run would replace what the one before has written.* set mode: append'
    run validate copy.yaml -s source.file.follow=true -s source.file.state=positions \
        -s 'batcher.sink={ file: { path: "out-{n}.txt" } }'
    expect_code 0
    run validate copy.yaml -s source.file.follow=true -s 'batcher.sink={ file: { path: out.txt } }'
    expect_code 0
}

run_tests "$@"
