#!/usr/bin/env python3
"""format.py - what everybody can read: no tabs, no trailing space, lines of at most 120 characters, a newline at
the end, a comment at the top that says why the file exists, and no note to self left behind."""
import os
import re

import tree

LINE_MAX = 120
TABLE_MAX = 132  # of a .def: a row is worth a line
SCRIPTS_TOO = ("bootstrap", ".ci/run", "tests/run", "tests/lint/tidy", "tests/lint/cppcheck", "tests/fuzz/run")
# Written in pieces, so that this file does not complain about itself.
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK|X" r"XX)\b")
BROAD_KILL = re.compile(r"\b(pk" r"ill|kill" r"all)\b")
OPENINGS = {
    ".c": "/* ", ".h": "/* ", ".def": "/* ",
    ".py": ('"""', "#!"), ".sh": "#!", ".mjs": ("//", "/*", "#!"), ".lua": "--", ".conf": "#",
    ".1": '.\\" ', ".8": '.\\" ',
}


def check_line(line, longest):
    if "\t" in line:
        yield "has a tab"
    if line != line.rstrip():
        yield "has space at its end"
    if len(line) > longest:
        yield f"is {len(line)} characters long (limit {longest})"
    if LEFTOVER.search(line):
        yield "has a note to self; finish it or write an issue"
    if BROAD_KILL.search(line):
        yield "ends processes by name; keep the id of what was started"


def check(root):
    complaints = []
    paths = tree.files(root) + [p for p in SCRIPTS_TOO if os.path.exists(os.path.join(root, p))]
    for path in paths:
        try:
            text = tree.read(root, path)
        except UnicodeDecodeError:
            complaints.append(f"{path} is not UTF-8")
            continue
        opening = OPENINGS.get(os.path.splitext(path)[1], "#!")
        if not text.startswith(opening):
            complaints.append(f"{path} does not open with a comment that says why it exists")
        if not text.endswith("\n"):
            complaints.append(f"{path} does not end with a newline")
        longest = TABLE_MAX if path.endswith(".def") else LINE_MAX
        for number, line in enumerate(text.split("\n"), 1):
            complaints += [f"{path}:{number} {what}" for what in check_line(line, longest)]
    return complaints


tree.run("format", check, [
    tree.Plant("map/map.h", "\tint x;\n", "has a tab"),
    tree.Plant("map/map.h", "int x; \n", "has space"),
    tree.Plant("map/map.h", "int x;\r\n", "has space"),
    tree.Plant("map/map.h", "/*" + "-" * (LINE_MAX - 1) + "\n", "characters long"),
    tree.Plant("map/map.h", "/* TO" "DO: more */\n", "note to self"),
    tree.Plant("map/map.h", "int last;", "newline"),
    tree.Plant("map/map.h", "#include <stdio.h>\n", "does not open with", first=True),
    tree.Plant("protocol/planted.c", "int x;\n", "does not open with"),
    tree.Plant("tests/lint/planted.sh", "#!/bin/sh\npk" "ill strobed\n", "by name"),
])
