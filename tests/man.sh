#!/bin/bash
# The man pages render without a warning, every public call of the rings has one,
# what they say in SYNOPSIS is what the headers say, and their examples are compiled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
fail() {
    printf '%s\n' "$*"
    failed=1
}

# ---- they render -----------------------------------------------------------------

render() { # PAGE: its warnings
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning "$1" || true
    fi
    if command -v groff >/dev/null; then
        groff -mdoc -ww -z -T utf8 "$1" 2>&1
    fi
}
command -v mandoc groff >/dev/null || { echo "neither mandoc nor groff"; exit 77; }
for page in docs/man/*; do
    warnings=$(render "$page")
    [[ ! $warnings ]] || fail "$warnings"
done

# ---- they say what is there ------------------------------------------------------

perl - docs/man/* <<'END_OF_PERL' || failed=1
use strict;
my ($failed, %page, %pages) = (0);
sub fail { print "@_\n"; $failed = 1 }
sub slurp { my ($file) = @_; local $/; open my $in, "<", $file or die "$file: $!\n"; <$in> }
# As one line: blanks, and where a line ends, say nothing.
sub flat { my ($text) = @_; $text =~ s/\s+/ /g; $text =~ s/^ | $//g; $text }
sub section { my ($text, $name) = @_; $text =~ /^\.Sh \Q$name\E\n(.*?)(?=^\.Sh |\z)/ms ? $1 : "" }

# What the headers declare for users: without comments, bodies, and the out-of-line
# halves of inline calls.
my (%declared, $headers);
for my $header (qw(rings/ring.h rings/layout.h rings/mem.h rings/wait.h)) {
    my $text = slurp($header);
    $text =~ s{/\*.*?\*/}{}gs;
    $headers .= flat($text);
    my $begin = qr/^(?:BELT_API|BELT_INLINE|static inline) /m;
    while ($text =~ /$begin(.*?\b(belt_\w+)\([^;{]*\))\s*[;{]/gs) {
        my ($prototype, $name) = ($1, $2);
        $declared{$name} = flat($prototype) unless $name =~ /_(other|slow)$/;
    }
}

for my $file (@ARGV) {
    my $text = slurp($file);
    my ($name, $section) = $file =~ m{([^/]+)\.(\d)$} or die "$file?\n";
    fail("$file: .Dt is of another page") unless $text =~ /^\.Dt \U$name\E $section$/m;
    my @names = section($text, "NAME") =~ /^\.Nm (\w+)/mg;
    fail("$file: the first name is not the file's") unless $names[0] eq $name;
    $pages{"$_.$section"} = 1 for @names;
    my @wanted = ("SYNOPSIS", "DESCRIPTION", "RETURN VALUES", "SEE ALSO");
    push @wanted, "ERRORS", "EXAMPLES" if $section == 3;
    for (@wanted) {
        fail("$file: no $_") unless section($text, $_);
    }
    # .Ft and .Fn of each name, put together, are the header's prototype.
    my $synopsis = section($text, "SYNOPSIS");
    my %shown;
    while ($synopsis =~ /^\.Ft (.*)\n\.Fn (\w+) ?(.*)$/mg) {
        my ($type, $call, $rest) = ($1, $2, $3);
        my @args = $rest eq "void" ? "void" : $rest =~ /"([^"]*)"/g;
        my $blank = $type =~ /\*$/ ? "" : " ";
        $shown{$call} = flat("$type$blank$call(" . join(", ", @args) . ")");
    }
    for my $call ($section == 3 ? @names : ()) {
        $page{$call} = $file;
        if (!$declared{$call}) {
            fail("$file: $call is in no header");
            next;
        }
        fail("$file: $call is not in SYNOPSIS") unless $shown{$call};
        fail("$file: says   $shown{$call}\n    header: $declared{$call}")
            if $shown{$call} && $shown{$call} ne $declared{$call};
    }
    while ($synopsis =~ /^\.Bd -literal\n(.*?)^\.Ed/gms) {
        (my $struct = $1) =~ s{/\*.*?\*/}{}gs;
        fail("$file: no header says:\n$1") if index($headers, flat($struct)) < 0;
    }
    # Examples: From .Pa FILE, then blocks that stand there word by word.
    my $examples = section($text, "EXAMPLES");
    next unless $examples;
    my ($source) = $examples =~ /^From\n\.Pa (\S+)/m;
    if (!$source) {
        fail("$file: example from where?");
        next;
    }
    my $code = flat(slurp($source));
    while ($examples =~ /^\.Bd -literal\n(.*?)^\.Ed/gms) {
        fail("$file: $source has no such example:\n$1") if index($code, flat($1)) < 0;
    }
}
for (sort keys %declared) {
    fail("no page for $_()") unless $page{$_};
}
for my $file (@ARGV) {
    my $text = slurp($file);
    while ($text =~ /^\.Xr (belt_\w+) (\d)/mg) {
        fail("$file: refers to $1($2), which is not there") unless $pages{"$1.$2"};
    }
}
exit $failed;
END_OF_PERL
exit "$failed"
