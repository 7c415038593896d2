#!/bin/bash
# What is installed is enough to build against, wherever it is moved to: in C11 and
# C++17, by pkg-config and by CMake, all of it and the rings alone; and it exports
# nothing but belt_.
set -euo pipefail
: "${BUILD_DIR:?the build folder}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
die() {
    printf '%s\n' "$*"
    exit 1
}

# Moved before anything looks at it: a path that was written down shows at once.
cmake --install "$BUILD_DIR" --prefix "$work/first" >/dev/null
mkdir "$work/moved place"
root="$work/moved place/beltway"
mv "$work/first" "$root"
if grep -rlIF -e "$work" -e "$BUILD_DIR" "$root" | grep .; then
    die "these name the place of building or installing"
fi

lib=$(find "$root" -name libbeltway.so)
[[ $lib ]] || die "no libbeltway.so"
libdir=${lib%/*}
export LD_LIBRARY_PATH=$libdir

# ---- symbols ---------------------------------------------------------------------

exports() { # LIBRARY
    local soname foreign
    soname=$(objdump -p "$libdir/$1.so" | awk '$1 == "SONAME" { print $2 }')
    [[ $soname == "$1.so.0" ]] || die "SONAME of $1 is '$soname'"
    foreign=$(nm -D --defined-only "$libdir/$1.so" | awk '$NF !~ /^belt_/ { print $NF }')
    [[ ! $foreign ]] || die "$1 exports without belt_:" $foreign
}
exports libbeltway
exports libbeltway_rings

# rings/ alone needs nothing from the other folders, and no library but libc.
archive=$libdir/libbeltway_rings.a
defined=$(nm "$archive" 2>/dev/null | awk '$2 ~ /[TDBRVWC]/ { print $3 }' | sort -u)
wanted=$(nm -u "$archive" 2>/dev/null | awk '/ U belt_/ { print $2 }' | sort -u)
missing=$(comm -13 <(echo "$defined") <(echo "$wanted"))
[[ ! $missing ]] || die "beltway_rings needs from elsewhere:" $missing
foreign=$(grep -v '^belt_' <<<"$defined" || true)
[[ ! $foreign ]] || die "libbeltway_rings.a defines without belt_:" $foreign
needed=$(objdump -p "$libdir/libbeltway_rings.so" | awk '$1 == "NEEDED" { print $2 }' |
    grep -vE '^(libc|ld-linux.*)\.so' || true)
[[ ! $needed ]] || die "libbeltway_rings.so needs:" $needed

# ---- programs that are C11 and C++17 at once -------------------------------------

cat >"$work/rings.c" <<'END_OF_C'
#include <beltway/ring.h>

int main(void)
{
    struct belt_ring_conf conf;
    struct belt_mem mem;
    struct belt_tx tx;
    struct belt_rx rx;
    uint64_t in = 42, out = 0;
    memset(&conf, 0, sizeof conf);
    conf.size = sizeof conf;
    conf.item_size = sizeof in;
    if (belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_SHARED) < 0)
        return 1;
    if (belt_ring_format(mem, &conf) < 0 || belt_tx_open(&tx, mem) < 0 ||
        belt_rx_open(&rx, mem) < 0)
        return 2;
    if (!belt_push(&tx, &in, sizeof in) || !belt_pop(&rx, &out, sizeof out) || out != in)
        return 3;
    belt_tx_leave(&tx);
    belt_rx_leave(&rx);
    belt_mem_unmap(&mem);
    return 0;
}
END_OF_C
cat >"$work/beltway.c" <<'END_OF_C'
#include <beltway/pipeline.h>
#include <beltway/ring.h>

int main(void)
{
    struct belt_error err;
    struct belt_pipeline *pipeline;
    struct belt_ring_conf conf;
    memset(&conf, 0, sizeof conf);
    conf.size = sizeof conf;
    conf.item_size = 8;
    if (belt_ring_footprint(&conf) == 0 || belt_pipeline_new(&pipeline, &err) != 0)
        return 1;
    belt_pipeline_free(pipeline);
    return belt_error_set(&err, -5, "a %s", "word") == -5 ? 0 : 2;
}
END_OF_C
cp "$work/rings.c" "$work/rings.cc"
cp "$work/beltway.c" "$work/beltway.cc"
strict='-Wall -Wextra -Wpedantic -Werror'
cxx=${CXX:-$(command -v c++ || true)}

runs() { # PROGRAM WHAT
    "$1" || die "$2 does not run: $?"
}

# ---- pkg-config: of these packages alone, so that neither can need another --------

export PKG_CONFIG_LIBDIR=$libdir/pkgconfig
by_pkg_config() { # SOURCE PACKAGE COMPILER...
    local flags
    flags=$(pkg-config --cflags --libs "$2")
    # eval: the place has a blank in its name, which pkg-config has quoted.
    eval "${*:3} $strict $flags '$work/$1' -o '$work/program' $flags" ||
        die "$1 does not build by pkg-config"
    runs "$work/program" "$1 by pkg-config"
}
for package in rings:beltway-rings beltway:beltway; do
    by_pkg_config "${package%:*}.c" "${package#*:}" "${CC:-cc}" -std=c11
    [[ ! $cxx ]] || by_pkg_config "${package%:*}.cc" "${package#*:}" "$cxx" -std=c++17
done

# ---- CMake: a project that knows the prefix only ---------------------------------

cat >"$work/CMakeLists.txt" <<'END_OF_CMAKE'
cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES C)
find_package(beltway 0.1 CONFIG REQUIRED COMPONENTS ${WHAT})
set(CMAKE_C_STANDARD 11)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_EXTENSIONS OFF)
add_compile_options(-Wall -Wextra -Wpedantic -Werror)
set(sources ${WHAT}.c)
if(CMAKE_CXX_COMPILER)
    enable_language(CXX)
    list(APPEND sources ${WHAT}.cc)
endif()
enable_testing()
foreach(source ${sources})
    string(REPLACE . _ name ${source})
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE beltway::${WHAT})
    add_test(NAME ${name} COMMAND ${name})
endforeach()
if(TARGET beltway::beltway AND WHAT STREQUAL "rings")
    message(FATAL_ERROR "asked for the rings alone")
endif()
END_OF_CMAKE
by_cmake() { # COMPONENT
    local built=$work/built-$1
    (cmake -S "$work" -B "$built" -DWHAT="$1" -DCMAKE_PREFIX_PATH="$root" \
        -DCMAKE_C_COMPILER="${CC:-cc}" ${cxx:+-DCMAKE_CXX_COMPILER="$cxx"} &&
        cmake --build "$built" && cd "$built" && ctest --output-on-failure) >"$work/log" 2>&1 || {
        tail -30 "$work/log"
        die "$1 does not build or run by CMake"
    }
}
by_cmake rings
by_cmake beltway
if cmake -S "$work" -B "$work/refused" -DWHAT=nothing -DCMAKE_PREFIX_PATH="$root" \
    >/dev/null 2>&1; then
    die "a component that does not exist was found"
fi

# ---- the rest --------------------------------------------------------------------

"$root/bin/beltway" help >/dev/null || die "the installed CLI does not run"
while read -r page; do
    target=$(sed -n 's/^\.so //p' "$page")
    [[ ! $target || -f $root/share/man/$target ]] || die "$page leads nowhere"
done < <(find "$root/share/man" -type f)
