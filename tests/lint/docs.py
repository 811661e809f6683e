#!/usr/bin/env python3
"""docs.py - the pages tell the truth: conf/strobe.conf lists the options that `strobed --help` lists, in the same
order, with the same defaults and a comment each; and a path that a page names in `back quotes` or links to exists."""
import glob
import os
import re
import subprocess

import tree

STROBED = os.environ.get("STROBED") or os.path.join(tree.build(), "strobed")
PAGES = ("README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md")
TOP = r"(?:map|protocol|server|clients|tests|conf)/"
OPTION = re.compile(r"^  --([a-z][a-z-]*) +(\S+) +\S")
SETTING = re.compile(r"^([a-z][a-z-]*) *= *(\S.*?) *$")


def options_of_help():
    """name -> default, in order; the part of --help that begins with "Options"."""
    told = subprocess.run([STROBED, "--help"], check=True, capture_output=True, text=True, timeout=20).stdout
    rows = [OPTION.match(line) for line in told.partition("\nOptions")[2].splitlines()]
    return {row.group(1): row.group(2) for row in rows if row}


HELP = options_of_help()


def check_conf(root):
    path = "conf/strobe.conf"
    found, before = {}, ""
    for number, line in enumerate(tree.read(root, path).splitlines(), 1):
        row = SETTING.match(line)
        if row:
            name, value = row.groups()
            if name in found:
                yield f"{path}:{number} has {name} twice"
            elif name not in HELP:
                yield f"{path}:{number} has {name}, which strobed --help does not list"
            elif HELP[name] != value:
                yield f"{path}:{number} has {name} = {value}, but --help says {HELP[name]}"
            if not before.startswith("# "):
                yield f"{path}:{number} does not say above {name} what it is for"
            found[name] = value
        elif line and not line.startswith("#"):
            yield f"{path}:{number} is neither a comment nor an option"
        before = line
    yield from (f"{path} has no {name}, which strobed --help lists" for name in HELP if name not in found)
    if [name for name in found if name in HELP] != [name for name in HELP if name in found]:
        yield f"{path} has the options in another order than --help"


def exists(root, path):
    """A path, a pattern, or a test program named by its source."""
    return bool(glob.glob(os.path.join(root, path)) or os.path.exists(os.path.join(root, path + ".c")))


def check_page(root, path):
    for number, line in enumerate(tree.read(root, path).splitlines(), 1):
        named = re.findall(r"`(" + TOP + r"[\w./*-]+)`", line)
        named += [link for link in re.findall(r"\]\(([^)#\s]+)", line) if "://" not in link]
        for name in named:
            placeholder = re.search(r"[A-Z]{4}", name) and not name.endswith(".md")
            if not placeholder and not exists(root, name):
                yield f"{path}:{number} names {name}, which does not exist"


def check(root):
    complaints = [] if len(HELP) > 5 else [f"strobed --help lists only {list(HELP)}"]
    complaints += check_conf(root)
    for page in PAGES:
        complaints += check_page(root, page)
    return complaints


def without(name):
    return lambda text: re.sub(rf"(?m)^{name} *=.*\n", "", text)


def moved_last(name):
    return lambda text: without(name)(text) + f"# moved\n{name} = {HELP[name]}\n"


NAME = next(iter(HELP), "")
tree.run("docs", check, [
    tree.Plant("conf/strobe.conf", "# planted\nplanted = 1\n", "which strobed --help does not list"),
    tree.Plant("conf/strobe.conf", f"# planted\n{NAME} = other\n", "twice"),
    tree.Plant("conf/strobe.conf", f"# planted\n{NAME} = other\n", "but --help says", first=True),
    tree.Plant("conf/strobe.conf", f"{NAME} = {HELP.get(NAME)}\n", "what it is for", first=True),
    tree.Plant("conf/strobe.conf", "planted\n", "neither"),
    tree.Plant("conf/strobe.conf", without(NAME), f"has no {NAME}"),
    tree.Plant("conf/strobe.conf", moved_last(NAME), "another order"),
    tree.Plant("README.md", "\nSee `server/planted.c`.\n", "does not exist"),
    tree.Plant("README.md", "\nSee [this](planted.md).\n", "does not exist"),
])
