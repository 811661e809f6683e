#!/usr/bin/env bash
# embed.sh - installs the map's header, library and .pc file into an empty folder, builds a stranger's program
# (tests/map/example.c) from those alone, runs it, and sees that it needs no library but libc (which holds the
# threads).
# The last check is shown to work first, with a program that needs libm as well.
set -euo pipefail
place=$(mktemp -d "${TMPDIR:-/tmp}/strobe-embed-XXXXXX")
trap 'rm -rf "$place"' EXIT

fail() {
    echo "embed: $*" >&2
    exit 1
}

# The libraries that program $1 asks the loader for, less libc and the loader itself.
more_than_libc() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v -e '^libc\.so\.' -e '^ld-linux' || true
}

compile=(${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror)

printf 'int main(void) { return 0; }\n' >"$place/planted.c"
"${compile[@]}" -o "$place/planted" "$place/planted.c" -Wl,--no-as-needed -lm
[ "$(more_than_libc "$place/planted")" = libm.so.6 ] || fail 'the check is blind: it did not see libm'

env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS "${MAKE:-make}" -s -C "$top_builddir" DESTDIR="$place/root" \
    install-strobeHEADERS install-libLIBRARIES install-pkgconfigDATA >"$place/log" 2>&1 ||
    { cat "$place/log"; fail 'make install failed'; }

pc=$(find "$place/root" -name libstrobemap.pc)
[ -n "$pc" ] || fail 'libstrobemap.pc was not installed'
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$place/root PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 \
    PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
sed 's|"map/map.h"|<strobe/map.h>|' "$top_srcdir/tests/map/example.c" >"$place/embed.c"
"${compile[@]}" $(pkg-config --cflags libstrobemap) -o "$place/embed" "$place/embed.c" \
    $(pkg-config --libs libstrobemap) || fail 'a program with only map.h and libstrobemap does not build'
"$place/embed" | grep -qx 'moon is full' || fail 'the program does not print what its snapshot held'
extra=$(more_than_libc "$place/embed")
[ -z "$extra" ] || fail "a program with libstrobemap also needs $extra"
echo 'embed: a program that uses the map alone builds, runs, and needs libc alone'
