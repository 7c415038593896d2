#!/bin/bash
# check.sh FILE: the same result by gawk, sorted.
set -euo pipefail
gawk 'match($0, /\[([^]]+)\] "([A-Z]+) ([^ ]+)[^"]*" ([0-9]{3}) ([0-9]+|-)$/, m) {
    if ($0 ~ /GET \/(health |static\/)/ || !(m[4] >= 500 || m[3] ~ /^\/api\/v[0-9]+\//))
        next
    split(m[1], t, /[\/: ]/)
    at = mktime(t[3] " 1 " t[1] " " t[4] " " t[5] " " t[6], 1) - substr(t[7], 2, 2) * 3600
    count[strftime("%Y-%m-%d %H:00", at, 1) "," m[2] " " tolower(m[3]) "," m[4]]++
}
END { for (key in count) print key "," count[key] }' "${1:?log}" | LC_ALL=C sort
