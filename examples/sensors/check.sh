#!/bin/bash
# check.sh FILE: the same totals, computed in another way: sorted by the shell,
# summed by awk in whole tenths.
set -euo pipefail
echo sensor,min,mean,max,count
LC_ALL=C sort -t';' -k1,1 -s "${1:?file}" | LC_ALL=C awk -F';' '
    function tenths(v,    n) { n = v; sub(/\./, "", n); return n + 0 }
    function text(v,    s) {
        s = v < 0 ? "-" : ""
        if (v < 0) v = -v
        return sprintf("%s%d.%d", s, int(v / 10), v % 10)
    }
    # Half is rounded up: towards the larger number. Exact below 2^53.
    function mean(sum, count,    twice, m) {
        twice = 2 * sum + count
        m = int(twice / (2 * count))
        if (m * 2 * count > twice) m--
        return m
    }
    function quoted(s) {
        if (s ~ /[,"]/) { gsub(/"/, "\"\"", s); return "\"" s "\"" }
        return s
    }
    function put() {
        printf "%s,%s,%s,%s,%d\n", quoted(name), text(min), text(mean(sum, count)), text(max), count
    }
    { sub(/\r$/, ""); v = tenths($2) }
    NR > 1 && $1 != name { put(); count = 0 }
    count == 0 { name = $1; min = max = v; sum = 0 }
    { sum += v; count++; if (v < min) min = v; if (v > max) max = v }
    END { if (NR) put() }'
