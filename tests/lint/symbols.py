#!/usr/bin/env python3
"""symbols.py - libstrobemap shows the world exactly what map/map.h declares: all of it, nothing else, and every
name begins with strobe_. The test makes archives of its own that break each rule, and must see them refused."""
import os
import re
import subprocess
import sys
import tempfile

import tree

NM = os.environ.get("NM") or "nm"
CC = (os.environ.get("CC") or "cc").split()


def declared(header):
    """The functions that a header declares: names before a parenthesis, outside of comments and macros."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", " ", text, flags=re.M)
    text = re.sub(r"static inline[^{;]*\{.*?^\}", " ", text, flags=re.S | re.M)
    return set(re.findall(r"\b(strobe_\w+)\s*\((?!\s*\*)", text))


def check(archive, header):
    told = subprocess.run([NM, "-g", "--defined-only", "-f", "posix", archive], check=True, capture_output=True,
                          text=True).stdout
    defined = {line.split()[0] for line in told.splitlines() if len(line.split()) >= 2}
    complaints = [f"{name} is visible but does not begin with strobe_" for name in sorted(defined)
                  if not name.startswith("strobe_")]
    complaints += [f"{name} is visible but not in map/map.h" for name in sorted(defined - declared(header))
                   if name.startswith("strobe_")]
    complaints += [f"{name} is in map/map.h but not in the library" for name in sorted(declared(header) - defined)]
    return complaints


HEADER = "/* strobe_not(this) */\nint strobe_one(int a);\nvoid strobe_two(\n    int b);\n"
ONE = "int strobe_one(int a) { return a; } "
FINE = ONE + "void strobe_two(int b) { (void)b; } static int hidden(void) { return 1; } "
PLANTS = [
    (FINE + "void stray(void) {}", "stray is visible"),
    (FINE + "int strobe_more;", "strobe_more is visible"),
    (ONE, "strobe_two is in map/map.h"),
]


def blind():
    missed = []
    with tempfile.TemporaryDirectory(prefix="strobe-lint-") as place:
        def archive(text):
            with open(os.path.join(place, "planted.c"), "w", encoding="utf-8") as file:
                file.write(text + "\n")
            subprocess.run(CC + ["-w", "-c", "-o", "planted.o", "planted.c"], check=True, cwd=place)
            return os.path.join(place, "planted.o")

        for text, says in PLANTS:
            if not any(says in line for line in check(archive(text), HEADER)):
                missed.append(f"not caught: {says}")
        for line in check(archive(FINE), HEADER):
            missed.append(f"refused, although it is fine: {line}")
    return missed


library = os.path.join(tree.build(), "libstrobemap.a")
public = tree.read(tree.top(), "map/map.h")
sys.exit(tree.report("symbols", f"{len(declared(public))} functions of map/map.h", len(PLANTS), blind(),
                     check(library, public)))
