#!/bin/bash
# Every command that README.md shows works: the lines of its ```sh blocks that
# begin with build/beltway or ./dev help, in the order of the page.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

test_commands_of_the_readme() {
    [[ -e $SOURCE_DIR/README.md ]] || skip "no README.md"
    mkdir tree
    cp -r "$SOURCE_DIR"/{examples,README.md,dev} tree/
    cd tree || exit
    ln -s "$BUILD_DIR" build
    awk '/^```sh/ { on = 1; next } /^```/ { on = 0 } on' README.md |
        sed -e ':join' -e '/\\$/ { N; s/\\\n */ /; b join' -e '}' |
        grep -E '^(build/beltway|\./dev help)' >commands || skip "no commands"
    while read -r line; do
        timeout 120 bash -c "$line" </dev/null >"$work/out" 2>"$work/err" ||
            fail "exit code $?: $line"
    done <commands
}

run_tests "$@"
