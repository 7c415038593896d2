#!/bin/bash
# check.sh FILE DIR: the lines of FILE by action, one file each in DIR.
set -euo pipefail
for action in install upgrade configure remove purge; do
    grep -E "^[^ ]+ [^ ]+ $action( |\$)" "${1:?log}" >"${2:?folder}/$action.log" ||
        rm "$2/$action.log"
done
