#!/bin/bash
# docs/broadway.md says what is so: its samples are parts of files that tests build and
# run, and its conformance tables name the tests that are there. What any page names is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
page=docs/broadway.md

# A sample is a ``` block under a line <!-- FILE -->.
perl -e '
    my ($page) = @ARGV;
    sub text { open my $in, "<", $_[0] or die "$_[0]: $!\n"; local $/; return <$in> }
    my ($doc, $count, $failed) = (text($page), 0, 0);
    while ($doc =~ /^<!-- (\S+\.\S+) -->\n```\w*\n(.*?)^```/gms) {
        my ($file, $sample) = ($1, $2);
        $count++;
        next if index(text($file), $sample) >= 0;
        print "$page: a sample of $file is not in it\n";
        $failed = 1;
    }
    print "$page: no samples\n" unless $count;
    exit($failed || !$count);
' "$page"

# The state, the last column, depends on a run.
rows() {
    sed -n '/^<!-- conformance -->/,/^<!-- \/conformance -->/p' |
        sed -n 's/^\(| .*\) | [a-z ]* |$/\1/p'
}
diff <(rows <"$page") <({
    echo '<!-- conformance -->'
    dev.d/conformance --names --markdown 2>/dev/null || true
} | rows) || {
    echo "$page: its conformance tables are old: ./dev conformance --docs"
    exit 1
}

# Headers, functions and man pages that pages name are there.
words='\bbeltway/[a-z_]+\.(h|def)\b|\bbelt_[a-z0-9_]+[a-z0-9]\b'
unknown=$(grep -ohE "$words" README.md docs/*.md | sort -u | while read -r name; do
    case $name in
    beltway/*) [[ -f core/${name#*/} || -f rings/${name#*/} ]] || echo "$name" ;;
    *) compgen -G "docs/man/$name.*" >/dev/null ||
        grep -qwF "$name" core/*.h rings/*.h numa/*.h || echo "$name" ;;
    esac
done)
[[ ! $unknown ]] || {
    echo "pages name what is not there:" $unknown
    exit 1
}
