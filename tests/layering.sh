#!/bin/bash
# Who may include whom, and that no memory-order label lacks its partner.
#
# A release is commented "R1, pairs with A1 in reader(): ..." and its acquire
# "A1, pairs with R1 in writer(): ..."; labels are per file, or per folder, or
# the partner's file is named: "... in writer() of rings/ring.h".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# folder | other folders | libraries, by their header
layers='
rings    |                      | ck_
numa     | rings                | hwloc
core     | rings numa           | ck_ yaml.h
steps    | rings core           | pcre2 simdjson
io       | rings core           | liburing zlib.h zstd.h
apps     | public               |
examples | public               |
bench    | *                    | *
tests    | *                    | *
'
libraries='ck_|hwloc|yaml\.h|liburing|zlib\.h|zstd\.h|pcre2|simdjson|criterion|benchmark'
failed=0

fail() {
    printf '%s\n' "$*"
    failed=1
}

mapfile -t patterns <cmake/public_headers.txt
public=" $(printf '%s ' ${patterns[*]}) "

# within WORD LIST: WORD begins with one of LIST, or LIST is *
within() {
    local allowed
    [[ $2 == '*' ]] && return
    for allowed in $2; do
        [[ $1 == "$allowed"* ]] && return
    done
    return 1
}

# check_include FOLDER FOLDERS LIBRARIES PLACE TARGET
check_include() {
    local target=$5
    case $target in
    ../* | */../*) fail "$4: '$target' climbs; name it from the root of the tree" ;;
    beltway/*) within public "$2" || fail "$4: only apps, examples, bench, tests use <beltway/>" ;;
    *.def) ;; # lists of names: data, which core reads to know the parts
    rings/* | numa/* | core/* | steps/* | io/* | apps/* | examples/* | bench/* | tests/*)
        [[ ${target%%/*} == "$1" ]] && return
        [[ $2 == public && $target != *_priv.h && $public == *" $target "* ]] && return
        within "$target" "$2" || fail "$4: $1 must not include $target"
        ;;
    *)
        [[ $target =~ ^($libraries) ]] || return 0
        within "$target" "$3" || fail "$4: $1 must not use the library of <$target>"
        ;;
    esac
}

while IFS='|' read -r folder folders uses; do
    folder=${folder// /}
    [[ -d $folder ]] || continue
    folders=$(xargs <<<"${folders//\*/\\*}")
    uses=$(xargs <<<"${uses//\*/\\*}")
    while IFS=: read -r file line text; do
        [[ $text =~ [\"\<]([^\"\>]+)[\"\>] ]] || continue
        check_include "$folder" "$folders" "$uses" "$file:$line" "${BASH_REMATCH[1]}"
    done < <(grep -rnE '^ *# *include' --include='*.[ch]' --include='*.cc' --include='*.def' \
        "$folder" || true)
done <<<"$layers"

# A label's partner must name it in turn, and the function named must exist.
dev.d/sources c h | grep -E '^(rings|numa|core|io)/' | xargs -r perl -e '
    my (%text, %pairs, @found);
    for my $file (@ARGV) {
        open my $in, "<", $file or die "$file: $!\n";
        $text{$file} = join "", <$in>;
        # A comment that goes on in the next line reads as one.
        (my $flat = $text{$file}) =~ s{\n\s*\*(?!/)}{ \x01}g;
        $text{$file} =~ s{/\*.*?\*/}{}gs;
        my $pair = qr{\b([A-Z]\d+)\b[^.;:/]{0,80}?\bpairs[\s\x01]+with\b(.*?)([;:\n]|\.\s|\*/)};
        while ($flat =~ m{$pair}g) {
            my ($label, $rest) = ($1, $2);
            my $line = 1 + (substr($flat, 0, $-[0]) =~ tr/\n\x01//);
            my ($of) = $rest =~ m{\bof[\s\x01]+(\w+/\w+\.[ch])};
            for my $partner ($rest =~ /\b([A-Z]\d+)\b/g) {
                push @found, [$file, $line, $label, $partner, $of, $rest =~ /(\w+)\(\)/g];
                $pairs{$file}{"$label $partner"} = 1;
            }
        }
    }
    my $failed = 0;
    for (@found) {
        my ($file, $line, $label, $partner, $of, @functions) = @$_;
        my ($folder) = $file =~ m{^(.*/)};
        my @near = $of ? $of : grep { index($_, $folder) == 0 } keys %text;
        if (!grep { $pairs{$_} && $pairs{$_}{"$partner $label"} } @near) {
            print "$file:$line: $label is alone: nowhere \"$partner, pairs with $label\"\n";
            $failed = 1;
        }
        for my $function (@functions) {
            next if grep { ($text{$_} // "") =~ /\b\Q$function\E\)?\(/ } $file, @near;
            print "$file:$line: $label names $function(), which is not there\n";
            $failed = 1;
        }
    }
    exit $failed' || failed=1
exit "$failed"
