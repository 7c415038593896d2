#!/bin/bash
# The rings build inside of somebody's project, where nothing but libc is installed.
set -euo pipefail
: "${SOURCE_DIR:?the tree}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# pkg-config that finds no package, like a machine that has none.
export PKG_CONFIG_LIBDIR=$work/none PKG_CONFIG_PATH=

cat >"$work/CMakeLists.txt" <<'END_OF_CMAKE'
cmake_minimum_required(VERSION 3.25)
project(embedder LANGUAGES C)
set(BELT_RINGS_ONLY ON)
add_subdirectory(${SOURCE_DIR} beltway EXCLUDE_FROM_ALL)
add_executable(embedder ${SOURCE_DIR}/examples/rings/threads.c)
target_link_libraries(embedder PRIVATE beltway::rings)
END_OF_CMAKE

run() { # COMMAND...: shows what it said only when it failed
    "$@" >"$work/log" 2>&1 && return
    tail -30 "$work/log"
    echo "failed: $*"
    exit 1
}
options=(-DCMAKE_C_COMPILER="${CC:-cc}" -DSOURCE_DIR="$SOURCE_DIR" -DCMAKE_BUILD_TYPE=Debug)
run cmake -S "$work" -B "$work/built" "${options[@]}"
run cmake --build "$work/built"
run "$work/built/embedder"
