#!/bin/bash
# The other CLI tests again, as a user without rights and with 8 MiB of memory to lock.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Whoever has no rights may not see the tree: a copy lies where all can.
copy_tree() {
    mkdir -p tree/{tests,docs} build/examples
    cp -r "$SOURCE_DIR/tests/"{cli,topologies} tree/tests/
    cp -r "$SOURCE_DIR/examples" tree/
    cp "$SOURCE_DIR"/docs/*.md tree/docs/
    cp "$BELTWAY" build/beltway
    cp "$BUILD_DIR"/libbeltway.so.* build/
    cp -r "$BUILD_DIR/examples/"{c,rings} build/examples/
    rm tree/tests/cli/{as_user,readme}.sh
    chmod -R a+rX .
    mkdir tmp
    chmod 777 tmp
}

test_all_as_an_ordinary_user() {
    need_root
    local script failed=0
    copy_tree
    for script in tree/tests/cli/[!l]*.sh; do
        env -C tmp TMPDIR="$PWD/tmp" BELTWAY="$PWD/build/beltway" SOURCE_DIR="$PWD/tree" \
            BUILD_DIR="$PWD/build" LD_LIBRARY_PATH="$PWD/build" HOME="$PWD/tmp" \
            prlimit --memlock=8388608 \
            setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
            bash "$PWD/$script" >log 2>&1
        case $? in
        0 | 77) ;;
        *)
            failed=1
            echo "  as an ordinary user: $script"
            sed 's/^/    /' log
            ;;
        esac
    done
    ((failed == 0)) || exit 1
}

run_tests "$@"
