# shellcheck shell=bash
# Helpers of the CLI tests, to be sourced. Each function test_* runs in a folder
# of its own; skip ends it without a verdict.
set -u
: "${BELTWAY:?the binary}" "${SOURCE_DIR:?the tree}" "${BUILD_DIR:?where it was built}"

work=$(mktemp -d)
chmod 755 "$work" # other users run commands in it
trap 'rm -rf "$work"' EXIT

fail() {
    printf '  %s\n' "$*"
    for file in out err; do
        [[ -s $work/$file ]] && sed "s/^/  $file: /" "$work/$file" | head -20
    done
    exit 1
}

skip() {
    printf '  skipped: %s\n' "$*"
    exit 77
}

need_root() {
    ((EUID == 0)) || skip "not root"
}

# run ARG...: the command, its streams in $work/out and $work/err, its exit in $code.
run() {
    timeout -k 5 60 "$BELTWAY" "$@" >"$work/out" 2>"$work/err"
    code=$?
}

expect_code() {
    ((code == $1)) || fail "exit code $code, not $1"
}

expect_err() {
    grep -qE -- "$1" "$work/err" || fail "stderr lacks: $1"
}

expect_out() {
    grep -qE -- "$1" "$work/out" || fail "stdout lacks: $1"
}

expect_same() {
    cmp -s "$1" "$2" || fail "$(diff "$1" "$2" 2>&1 | head -5)"
}

# Nothing but what the test itself made, named in the arguments.
expect_only() {
    local found
    found=$(ls -A | sort | tr '\n' ' ')
    [[ $found == "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ]] || fail "files left: $found"
}

# A pipeline for "name;value" rows, and ten rows for it.
sensors() {
    cp "$SOURCE_DIR/examples/sensors/pipeline.yaml" .
    head -10 "$SOURCE_DIR/examples/sensors/measurements.txt" >measurements.txt
}

# copies SOURCE: a pipeline that copies lines from SOURCE to copy.txt.
copies() {
    cat >copy.yaml <<YAML
name: copy
source: { file: { paths: "$1" } }
batcher: { sink: { file: { path: copy.txt } } }
YAML
}

# The CPUs of this process, one a line.
allowed() {
    local list part
    list=$(taskset -cp $$ | sed 's/.*: //')
    for part in ${list//,/ }; do
        seq "${part%-*}" "${part#*-}"
    done
}

run_tests() {
    local test failed=0 passed=0
    for test in $(declare -F | awk '$3 ~ /^test_/ { print $3 }'); do
        if [[ ${1:-} && $test != *"$1"* ]]; then
            continue
        fi
        mkdir "$work/$test"
        : >"$work/out"
        : >"$work/err"
        (cd "$work/$test" && "$test")
        case $? in
        0) passed=$((passed + 1)) ;;
        77) echo "skip $test" ;;
        *)
            echo "FAIL $test"
            failed=$((failed + 1))
            ;;
        esac
    done
    echo "$passed passed, $failed failed"
    ((failed == 0)) || exit 1
    ((passed > 0)) || exit 77
}
