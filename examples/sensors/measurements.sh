#!/bin/bash
# Makes measurements.txt anew from the tz database (tzdata): country;latitude of
# each place that keeps a time of its own, rounded to one decimal.
set -euo pipefail
zoneinfo=${1:-/usr/share/zoneinfo}
LC_ALL=C awk -F'\t' '
    /^#/ { next }
    FNR == NR { country[$1] = $2; next }
    {
        # ISO 6709: sign, two digits of degrees, two of minutes, perhaps two of seconds.
        split($2, part, /[+-]/)
        digits = part[2]
        seconds = substr(digits, 1, 2) * 3600 + substr(digits, 3, 2) * 60 + substr(digits, 5, 2)
        tenths = int(seconds / 360 + 0.5)
        sign = substr($2, 1, 1) == "-" && tenths > 0 ? "-" : ""
        printf "%s;%s%d.%d\n", country[$1], sign, tenths / 10, tenths % 10
    }' "$zoneinfo/iso3166.tab" "$zoneinfo/zone.tab"
