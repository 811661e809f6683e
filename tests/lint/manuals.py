#!/usr/bin/env python3
"""manuals.py - man/strobe-bench.1 has the options that `strobe-bench --help` lists: the same, in the same order, with
the same arguments and defaults, and a text each. (Those of strobed are held by docs.py.)"""
import os
import re
import subprocess

import tree

PAGE = "man/strobe-bench.1"
BENCH = os.environ.get("STROBE_BENCH") or os.path.join(tree.build(), "strobe-bench")
OPTION = re.compile(r"^  --([a-z][a-z-]*) (\S*) +(\S+) +\S")
ENTRY = re.compile(r"^\.B ([a-z][a-z-]*) (?:(\S+) )?= (\S+)$")


def options_of_help():
    """(name, argument, default) in order."""
    told = subprocess.run([BENCH, "--help"], check=True, capture_output=True, text=True, timeout=20).stdout
    rows = [OPTION.match(line) for line in told.partition("\nOptions")[2].splitlines()]
    return [row.groups() for row in rows if row]


HELP = options_of_help()


def check(root):
    complaints = [] if len(HELP) > 5 else [f"strobe-bench --help lists only {HELP}"]
    lines = [line.replace("\\-", "-") for line in tree.read(root, PAGE).splitlines()]
    rows = [(number, row) for number, line in enumerate(lines, 1) if (row := ENTRY.match(line)) and
            lines[number - 2] == ".TP"]
    found = [(row[1], row[2] or "", row[3]) for _, row in rows]
    for option in HELP:
        if option not in found:
            complaints.append(f"{PAGE} has no {option}, which strobe-bench --help lists")
    for (number, _), option in zip(rows, found):
        if option not in HELP:
            complaints.append(f"{PAGE}:{number} has {option}, which strobe-bench --help does not list")
        if number < len(lines) and lines[number].startswith((".TP", ".SH", ".PP")):
            complaints.append(f"{PAGE}:{number} does not say what {option[0]} is for")
    if sorted(found) == sorted(HELP) and found != HELP:
        complaints.append(f"{PAGE} has the options in another order than --help")
    return complaints


def moved(text):
    """The last entry put before the first."""
    entries = list(re.finditer(r"(?m)^\.TP\n\.B [a-z\\-]+ (?:\S+ )?= .*\n(?:(?!\.TP|\.SH|\.PP).*\n)+", text))
    first, last = entries[0], entries[-1]
    return text[:first.start()] + last[0] + text[first.start():last.start()] + text[last.end():]


tree.run("manuals", check, [
    tree.Plant(PAGE, ".TP\n.B planted N = 1\nIt is.\n", "does not list"),
    tree.Plant(PAGE, lambda text: text.replace(".B clients N = 50\n", ".B clients N = 51\n"), "has no ('clients'"),
    tree.Plant(PAGE, lambda text: text.replace(".B clients N = 50\n", ".B clients M = 50\n"), "has no ('clients'"),
    tree.Plant(PAGE, lambda text: text.replace(".B rate N = none\n", ".B rated N = none\n"), "has no ('rate'"),
    tree.Plant(PAGE, lambda text: text.replace("\nThe result as one line.\n", "\n"), "what quiet is for"),
    tree.Plant(PAGE, moved, "another order"),
])
