#!/usr/bin/env python3
"""test_example.py - a stranger's program: example.c builds with the header and the library alone, as C11 and without a
warning, runs, and says what it should; and the header is C++ as well (C++17, where there is a C++ compiler)."""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.environ.get("top_srcdir") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILT = os.environ.get("top_builddir") or TOP
EXPECTED = "now it is new\nmoon is full\n"
CPLUSPLUS = """#include "map/map.h"
int main() {
    strobe_map *map = nullptr;
    if (strobe_map_new(nullptr, &map) != STROBE_OK) return 1;
    struct strobe_key key = strobe_key(map, "k", 1);
    strobe_access access;
    strobe_enter(map, &key, &access);
    bool there = strobe_find(&access, &key) != nullptr;
    strobe_leave(&access);
    strobe_map_free(map);
    return there;
}
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode or done.stderr:
        sys.exit(f"test_example.py: {' '.join(command)} answered {done.returncode}: {done.stderr}")
    return done.stdout


def main():
    with tempfile.TemporaryDirectory(prefix="strobe-example-") as place:
        os.mkdir(f"{place}/map")
        shutil.copy(f"{TOP}/map/map.h", f"{place}/map")
        for source in (f"{TOP}/tests/map/example.c", f"{BUILT}/libstrobemap.a"):
            shutil.copy(source, place)
        libraries = [f"-L{place}", "-lstrobemap", "-lpthread"]
        program = f"{place}/example"
        run(*os.environ.get("CC", "cc").split(), "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", place,
            f"{place}/example.c", "-o", program, *libraries)
        said = run(program)
        if said != EXPECTED:
            sys.exit(f"test_example.py: the example said {said!r}")
        compiler = shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            print("no C++ compiler here: the header was not tried as C++")
            return
        with open(f"{place}/example.cc", "w", encoding="utf-8") as file:
            file.write(CPLUSPLUS)
        run(compiler, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", place, f"{place}/example.cc",
            "-o", program, *libraries)
        run(program)


main()
