#!/bin/bash
# check.sh FILE: what pipeline.yaml makes of FILE, by jq; lines that are no JSON, or have no
# number at user.id, are left out.
set -euo pipefail
jq -cR 'fromjson?
    | select(.level == "error" or .level == "fatal")
    | select(.user | type == "object")
    | { ts, level, user: .user.id, name: (.user.name // "unknown"), ms,
        tag: (.tags[0]? // "none"), msg }
    | .ms |= "#\(. * 10 | tostring)#"' "${1:?log}" |
    sed -E 's/"#([0-9]*)([0-9])#"/\1.\2/; s/:\.([0-9])/:0.\1/'
