#!/bin/bash
# The programs of examples/broadway, which docs/broadway.md shows.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_parity() {
    local here=$SOURCE_DIR/examples/broadway
    timeout 60 "$BUILD_DIR/examples/c/parity" "$here/parity.yaml" "$here/numbers.txt" |
        sort >"$work/out" || fail "exit code $?"
    expect_same "$work/out" "$here/parity.expected"
    grep -q '"reason":"no number","payload":"many"' failed.ndjson || fail "$(cat failed.ndjson)"
}

run_tests "$@"
