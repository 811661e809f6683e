#!/usr/bin/env python3
"""lists.py - every file that somebody wrote is in a list of Makefile.am: a source that is not is not in the release,
and a test that is not is never run. And what `make all` builds links nothing of the tests, by default or by name, since
it must build where cmocka is not installed."""
import os
import re

import tree


def listed(root):
    lines = tree.read(root, "Makefile.am").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.split() if "/" in word}


def covered(path, words):
    """By its own name, as a program named after its only source, or by a folder that is packed whole."""
    if path in words or (path.startswith("tests/") and path.endswith(".c") and path[:-2] in words):
        return True
    folder = os.path.dirname(path)
    while folder:
        if folder in words:
            return True
        folder = os.path.dirname(folder)
    return False


def unable_without_tests(text):
    """The programs of `make all` that would need what tests are made of."""
    joined = text.replace("\\\n", " ")
    programs = re.findall(r"^(?:bin|noinst)_PROGRAMS *\+?= *(.*)$", joined, re.M)
    for program in " ".join(programs).split():
        found = re.search(rf"^{re.sub('[^A-Za-z0-9]', '_', program)}_LDADD *= *(.*)$", joined, re.M)
        if not found or re.search(r"libtest|CMOCKA|_test_libs", found[1]):
            yield program


def check(root):
    words = listed(root)
    complaints = [f"{path} is in no list of Makefile.am" for path in tree.files(root) if not covered(path, words)]
    return complaints + [f"Makefile.am: {program} has no LDADD of its own without the tests' libraries"
                         for program in unable_without_tests(tree.read(root, "Makefile.am"))]


tree.run("lists", check, [
    tree.Plant("Makefile.am", lambda text: text.replace("man_commands_page_LDADD =", ""), "commands_page has no LDADD"),
    tree.Plant("Makefile.am", lambda text: text.replace("strobe_bench_LDADD = ", "strobe_bench_LDADD = libtest.a "),
               "strobe-bench has no LDADD"),
    tree.Plant("map/planted.c", "/* planted */\n", "in no list"),
    tree.Plant("map/planted.h", "/* planted */\n", "in no list"),
    tree.Plant("server/planted.def", "/* planted */\n", "in no list"),
    tree.Plant("tests/map/test_planted.c", "/* planted */\n", "in no list"),
    tree.Plant("tests/wire/test_planted.py", "#!/usr/bin/env python3\n", "in no list"),
])
