#!/bin/bash
# Every public header stands alone, installed flat, as C11 and as C++17.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/beltway"
mapfile -t patterns <cmake/public_headers.txt
for header in ${patterns[*]}; do
    [[ $header == *_priv.h || ! -f $header ]] || cp "$header" "$root/beltway/"
done

compilers=0 failed=0
# alone HEADER COMPILER OPTION...
alone() {
    local header=$1 out
    shift
    out=$(printf '#include <beltway/%s>\nextern int alone;\n' "$header" |
        "$@" -fsyntax-only -Wall -Wextra -pedantic -Werror -I "$root" - 2>&1) && return
    printf 'FAILED %s with %s\n%s\n' "$header" "$*" "$out"
    failed=1
}

for suffix in gcc:g++ clang:clang++; do
    c=${suffix%:*} cxx=${suffix#*:}
    command -v "$c" "$cxx" >/dev/null || continue
    compilers=$((compilers + 1))
    for path in "$root"/beltway/*.h; do
        # A header that is a part of another says so itself.
        grep -q '^#error "include .* instead"' "$path" && continue
        alone "${path##*/}" "$c" -std=c11 -x c
        alone "${path##*/}" "$cxx" -std=c++17 -x c++
    done
done
((compilers)) || { echo "neither gcc nor clang"; exit 77; }
exit "$failed"
