#!/usr/bin/env python3
"""lists.py - every file that somebody wrote is in a list of Makefile.am: a source that is not is not in the release,
and a test that is not is never run."""
import os

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


def check(root):
    words = listed(root)
    return [f"{path} is in no list of Makefile.am" for path in tree.files(root) if not covered(path, words)]


tree.run("lists", check, [
    tree.Plant("map/planted.c", "/* planted */\n", "in no list"),
    tree.Plant("map/planted.h", "/* planted */\n", "in no list"),
    tree.Plant("server/planted.def", "/* planted */\n", "in no list"),
    tree.Plant("tests/map/test_planted.c", "/* planted */\n", "in no list"),
    tree.Plant("tests/wire/test_planted.py", "#!/usr/bin/env python3\n", "in no list"),
])
