#!/usr/bin/env python3
"""globals.py - no writable globals: looks with nm at what the objects of map/, protocol/, server/ and clients/ keep
in .data, .bss, COMMON and thread-local sections. Constant tables, with pointers or without, are welcome.

The test compiles violations of its own first, so it fails when nm stops telling what it needs to know.
"""
import glob
import os
import subprocess
import sys
import tempfile

import tree

NM = os.environ.get("NM") or "nm"
CC = (os.environ.get("CC") or "cc").split()
WRITABLE = (".data", ".bss", ".tdata", ".tbss", "*COM*", ".ldata", ".lbss")
CONSTANT_AFTER_START = ".data.rel.ro"

PLANTS = {
    "int planted_common;": "planted_common",
    "static int planted_static = 7; int *planted_use(void) { return &planted_static; }": "planted_static",
    "int planted_count(void); int planted_count(void) { static int calls; return ++calls; }": "calls",
    "_Thread_local int planted_thread = 3;": "planted_thread",
    "extern int other; int *planted_pointer = &other;": "planted_pointer",
}
FINE = ('static const char *const names[] = {"a", "b"}; const char *fine(int i); '
        "const char *fine(int i) { return names[i]; }")


def writable(objects):
    """Complaints about the objects and archives `objects`, as `file: symbol in section`."""
    complaints = []
    for path in objects:
        lines = subprocess.run([NM, "-f", "sysv", path], check=True, capture_output=True, text=True).stdout.splitlines()
        rows = [[cell.strip() for cell in line.split("|")] for line in lines]
        rows = [row for row in rows if len(row) == 7]
        if not rows:
            complaints.append(f"{path}: nm names no symbol at all")
        for name, _, _, _, _, _, section in rows:
            if section.startswith(CONSTANT_AFTER_START):
                continue
            if section.startswith(WRITABLE):
                complaints.append(f"{os.path.basename(path)}: {name} in {section} can be written")
    return complaints


def compiled(place, text):
    source, target = os.path.join(place, "planted.c"), os.path.join(place, "planted.o")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    subprocess.run(CC + ["-std=gnu11", "-fPIE", "-O2", "-c", "-o", target, source], check=True)
    return target


def blind():
    missed = []
    with tempfile.TemporaryDirectory(prefix="strobe-lint-") as place:
        for text, symbol in PLANTS.items():
            if not any(symbol in line for line in writable([compiled(place, text)])):
                missed.append(f"not caught: {text}")
        if writable([compiled(place, FINE)]):
            missed.append(f"refused, although it is constant: {FINE}")
    return missed


def objects():
    root = tree.build()
    archives = [a for a in glob.glob(os.path.join(root, "lib*.a")) if not a.endswith("libstrobemap.a")]
    return sorted(archives + glob.glob(os.path.join(root, "server", "main.o")) +
                  glob.glob(os.path.join(root, "clients", "*", "main.o")))


found = objects()
if len(found) < 4:
    sys.exit(f"globals: expected libmap.a, libprotocol.a, libserver.a and main's object, found {found}")
sys.exit(tree.report("globals", f"{len(found)} archives and objects", len(PLANTS), blind(), writable(found)))
