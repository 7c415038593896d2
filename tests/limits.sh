#!/bin/bash
# Limits that keep the tree pleasant to read. Prints each offender.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

function_lines=60 file_lines=600 header_lines=350 columns=100
failed=0

# over WHAT COUNT MOST
over() {
    ((${2} <= ${3})) && return
    printf '%s: %d, at most %d\n' "$1" "$2" "$3"
    failed=1
}

command -v ctags >/dev/null || { echo "no ctags"; exit 77; }
# BELT_HOT(name) would hide a function's name from ctags.
while read -r lines file line name; do
    over "$file:$line: lines of $name()" "$lines" "$function_lines"
done < <(dev.d/sources c h cc |
    ctags -L - -o - -x --kinds-C=f --kinds-C++=f -D 'BELT_HOT(name)=name' \
        --_xformat='%{end} %{line} %{input} %{name}' |
    awk '{ print $1 - $2 + 1, $3, $2, $4 }')

while read -r lines file; do
    case $file in
    *.c | *.cc) over "$file: lines" "$lines" "$file_lines" ;;
    *_priv.h) ;;
    *.h) over "$file: lines" "$lines" "$header_lines" ;;
    esac
done < <(dev.d/sources c h cc | xargs -r wc -l | grep -v ' total$')

# Characters, not bytes.
wide=$( (dev.d/sources c h cc sh; printf '%s\n' dev dev.d/sources .ci/run) |
    LC_ALL=C.UTF-8 xargs grep -HnoE "^.{$((columns + 1)),}" | cut -d: -f1,2 || true)
if [[ $wide ]]; then
    sed "s/\$/: more than $columns columns/" <<<"$wide"
    failed=1
fi
exit "$failed"
