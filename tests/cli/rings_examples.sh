#!/bin/bash
# Each example of examples/rings checks itself: it must end well, and say one line
# at least about what it did.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One test for each program that was built; a source that was not is a failure,
# unless it is C++ and there is no compiler for that.
for source in "$SOURCE_DIR"/examples/rings/*.c "$SOURCE_DIR"/examples/rings/*.cc; do
    name=$(basename "${source%.*}")
    [[ $source == *.cc && ! -x $BUILD_DIR/examples/rings/$name ]] && ! command -v c++ >/dev/null &&
        continue
    eval "test_$name() {
        timeout -k 5 60 '$BUILD_DIR/examples/rings/$name' >'$work/out' 2>'$work/err'
        code=\$?
        expect_code 0
        expect_out '^$name:'
    }"
done

# The table in the folder names them all.
test_the_readme_names_each() {
    for source in "$SOURCE_DIR"/examples/rings/*.c*; do
        grep -qF "]($(basename "$source"))" "$SOURCE_DIR/examples/rings/README.md" ||
            fail "README.md lacks $(basename "$source")"
    done
}

run_tests "$@"
