#!/bin/bash
# What `./dev run` shows. BELTWAY: the binary; ROWS: rows to generate (20M);
# DATA: where they are kept; OUT: where results go.
set -euo pipefail
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
beltway=${BELTWAY:-$examples/../build/beltway}
data=${DATA:-$(cd "$(dirname "$beltway")" && pwd)/data}
out=${OUT:-$data}
rows=${ROWS:-20M}
mkdir -p "$data" "$out"

if [[ ${1:-} == --rows ]]; then
    rows=${2:?how many}
fi

say() {
    printf '\n== %s\n' "$*"
}

# sensors FILE: the main job; shows the first of its totals and how many there are.
sensors() {
    "$beltway" run "$examples/sensors/pipeline.yaml" -s "source.file.paths=$1" \
        -s "batchers.totals.sink.file.path=$out/totals.csv" \
        -s "failed.sink.file.path=$out/failed.ndjson"
    head -6 "$out/totals.csv"
    echo "... $(($(wc -l <"$out/totals.csv") - 1)) names in $out/totals.csv"
}

say "rings alone, in C and C++: examples/rings"
for program in "$(dirname "$beltway")"/examples/rings/*; do
    if [[ -x $program && -f $program ]]; then
        "$program"
    fi
done

say "min, mean, max and count by name: latitudes of the tz database's places"
sensors "$examples/sensors/measurements.txt"

log=/var/log/dpkg.log
[[ -r $log ]] || log=$examples/packages/dpkg-sample.txt
say "a file for each action: $log"
rm -f "$out"/packages-*.log
"$beltway" run "$examples/packages/pipeline.yaml" -s "source.file.paths=$log" \
    -s "batchers.actions.sink.file.path=$out/packages-{key}.log"
wc -l "$out"/packages-*.log

say "the errors of a log in JSON: examples/json"
rc=0
"$beltway" run "$examples/json/pipeline.yaml" -s "source.file.paths=$examples/json/events.ndjson" \
    -s "batcher.sink.file.path=$out/errors.ndjson" -s "failed.sink.file.path=$out/failed.ndjson" ||
    rc=$?
((rc == 1)) # two lines of it are bad, and say so
cat "$out/errors.ndjson"

say "orders of two shops that do not agree on their columns: examples/csv"
rc=0
"$beltway" run "$examples/csv/pipeline.yaml" -s "source.file.paths=$examples/csv/orders/*.csv" \
    -s "batcher.sink.file.path=$out/large.csv" -s "failed.sink.file.path=$out/failed.ndjson" ||
    rc=$?
((rc == 1)) # two rows of them are bad, and say so
cat "$out/large.csv"

file=$data/sensors-$rows.txt
say "the first job again, on $rows generated rows: $file"
if [[ ! -s $file ]]; then
    "$beltway" generate sensors --rows "$rows" --out "$file.partial"
    mv "$file.partial" "$file"
fi
sensors "$file"
