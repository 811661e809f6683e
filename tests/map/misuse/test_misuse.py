#!/usr/bin/env python3
"""test_misuse.py - every misuse of the map's locks in misuse.c is caught: at compile time by clang's analysis of lock
classes, at run time by the owner check of a debug build, which aborts with a message. The same file without a
misuse is not complained about. Needs clang, and fails without it: a check that is not made is not passed."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.environ.get("top_srcdir") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
SOURCE = os.path.join(TOP, "tests/map/misuse/misuse.c")
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-DSTROBE_DEBUG=1", "-I", TOP]

# misuse -> what clang says of it
COMPILE_TIME = {
    "MISSING_LOCK": "requires holding",
    "LEAKED_LOCK": "still held at the end of function",
    "LEAKED_LOCK_ON_ONE_WAY": "not held on every path",
    "ENTER_INSIDE": "already held",
    "LOCKING_FUNCTION_INSIDE": "cannot call function 'strobe_count' while",
    "SNAPSHOT_OPENED_INSIDE": "cannot call function 'strobe_snapshot_open' while",
    "LEAVE_TWICE": "was not held",
    "FIND_AFTER_LEAVE": "requires holding",
    "ORDER_SNAPSHOTS_THEN_SHARD": "must be acquired before",
    "CHANGE_WITHOUT_LOCK": "writing variable 'version' requires holding",
    "READ_WITHOUT_LOCK": "reading variable 'version' requires holding",
    "LIST_WITHOUT_LOCK": "writing variable 'count' requires holding",
    "LIST_WITH_THE_WRONG_LOCK": "writing variable 'count' requires holding",
    "SEGMENT_CHANGED_WITHOUT_LOCK": "calling function 'segment_remove' requires holding",
}

NOT_HELD = "without holding that lock"
RUN_TIME = {
    "missing-lock": NOT_HELD,
    "other-shard": NOT_HELD,
    "other-thread": NOT_HELD,
    "leave-not-held": NOT_HELD,
    "leave-twice": NOT_HELD,
    "enter-inside": "enters a lock that it holds already",
    "locking-inside": "enters a lock that it holds already",
}

failures = []


def check(name, good, detail):
    print(("ok      " if good else "FAILED  ") + name)
    if not good:
        failures.append(name)
        print(detail, file=sys.stderr)


def clang(misuse=None):
    tool = next((found for found in map(shutil.which, ("clang", "clang-14")) if found), None)
    if tool is None:
        sys.exit("test_misuse.py needs clang: without it nobody checks the lock classes (Debian: apt install clang)")
    define = [f"-DMISUSE_{misuse}"] if misuse else []
    return subprocess.run([tool, *FLAGS, *define, "-fsyntax-only", "-Wthread-safety", "-Wthread-safety-beta", "-Werror",
                           SOURCE], capture_output=True, text=True, timeout=120)


def compile_time():
    done = clang()
    check("right use compiles", done.returncode == 0, done.stderr)
    for misuse, says in COMPILE_TIME.items():
        done = clang(misuse)
        only_locks = set(re.findall(r"\[-Werror,(.*?)\]", done.stderr)) <= {
            "-Wthread-safety-analysis", "-Wthread-safety-beta", "-Wthread-safety-precise"}
        check(f"clang refuses {misuse}", done.returncode != 0 and says in done.stderr and only_locks, done.stderr)
    with open(SOURCE, encoding="utf-8") as file:
        planted = set(re.findall(r"MISUSE_(\w+)", file.read()))
    check("every misuse of the file is tried", planted == set(COMPILE_TIME), planted ^ set(COMPILE_TIME))


def run_time():
    with tempfile.TemporaryDirectory(prefix="strobe-misuse-") as place:
        program = os.path.join(place, "misuse")
        folder = os.path.join(TOP, "map")
        sources = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".c"))
        command = [*os.environ.get("CC", "cc").split(), *FLAGS, "-O1", "-o", program, SOURCE, *sources, "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        check("a debug build is made", done.returncode == 0, done.stderr)
        if done.returncode:
            return
        done = subprocess.run([program, "none"], capture_output=True, text=True, timeout=60)
        check("right use runs", done.returncode == 0 and not done.stderr, done.stderr)
        for misuse, says in RUN_TIME.items():
            done = subprocess.run([program, misuse], capture_output=True, text=True, timeout=60)
            check(f"the debug build stops {misuse}", done.returncode == -6 and says in done.stderr,
                  f"{done.returncode}: {done.stderr}")


compile_time()
run_time()
sys.exit(1 if failures else 0)
