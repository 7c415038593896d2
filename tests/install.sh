#!/bin/bash
# What is installed is enough to build against, and exports nothing but belt_.
set -euo pipefail
: "${BUILD_DIR:?the build folder}"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cmake --install "$BUILD_DIR" --prefix "$root" >/dev/null

die() {
    printf '%s\n' "$*"
    exit 1
}

lib=$(find "$root" -name libbeltway.so)
libdir=${lib%/*}
[[ $lib ]] || die "no libbeltway.so"
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir

soname=$(objdump -p "$lib" | awk '$1 == "SONAME" { print $2 }')
[[ $soname == libbeltway.so.0 ]] || die "SONAME is '$soname'"
foreign=$(nm -D --defined-only "$lib" | awk '$NF !~ /^belt_/ { print $NF }')
[[ ! $foreign ]] || die "exported without belt_:" $foreign

# rings/ alone needs nothing from the other folders.
defined=$(nm "$libdir/libbeltway_rings.a" 2>/dev/null | awk '$2 ~ /[TDBRV]/ { print $3 }' | sort -u)
wanted=$(nm -u "$libdir/libbeltway_rings.a" 2>/dev/null | awk '/ U belt_/ { print $2 }' | sort -u)
missing=$(comm -13 <(echo "$defined") <(echo "$wanted"))
[[ ! $missing ]] || die "beltway_rings needs from elsewhere:" $missing

cat >"$root/pipeline.c" <<'END'
#include <beltway/pipeline.h>

int main(void)
{
    struct belt_error err;
    struct belt_pipeline *pipeline;
    if (belt_pipeline_new(&pipeline, &err) != 0)
        return 1;
    belt_pipeline_free(pipeline);
    return belt_error_set(&err, -5, "a %s", "word") == -5 ? 0 : 2;
}
END
cat >"$root/rings.c" <<'END'
#include <beltway/ring.h>

int main(void)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = 8, .items = 64 };
    return belt_ring_footprint(&conf) ? 0 : 1;
}
END
# try SOURCE PACKAGE: builds and runs it.
try() {
    ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror "$root/$1.c" -o "$root/$1" \
        $(pkg-config --cflags --libs "${@:2}") || die "$1.c does not build"
    "$root/$1" || die "$1.c does not run: $?"
}
try pipeline beltway
try rings --static beltway_rings
"$root/bin/beltway" help >/dev/null || die "the installed CLI does not run"
