#!/usr/bin/env python3
"""docs.py - the pages tell the truth: conf/strobe.conf and man/strobed.8 list the options that `strobed --help` lists,
in the same order, with the same defaults and a text each, marked (reload) where server/options.def says so; and a path
that a page names in `back quotes` or links to exists."""
import glob
import os
import re
import subprocess

import tree

STROBED = os.environ.get("STROBED") or os.path.join(tree.build(), "strobed")
PAGES = ("README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md")
TOP = r"(?:map|protocol|server|clients|tests|conf)/"
OPTION = re.compile(r"^  --([a-z][a-z-]*) +(\S+) +\S")
ROW = re.compile(r'^OPTION\("([a-z-]+)",.* (true|false),$', re.MULTILINE)
ENTRY = re.compile(r"^\.B ([a-z][a-z-]*) = (\S+)$")
SETTING = re.compile(r"^([a-z][a-z-]*) *= *(\S.*?) *$")


def options_of_help():
    """name -> default, in order; the part of --help that begins with "Options"."""
    told = subprocess.run([STROBED, "--help"], check=True, capture_output=True, text=True, timeout=20).stdout
    rows = [OPTION.match(line) for line in told.partition("\nOptions")[2].splitlines()]
    return {row.group(1): row.group(2) for row in rows if row}


HELP = options_of_help()
RELOADS = {name: word == "true" for name, word in ROW.findall(tree.read(tree.top(), "server/options.def"))}


def check_entry(where, found, name, value, marked):
    """What holds for an option wherever it stands; FOUND are those before it on the page. RELOADS is not in --help."""
    if name in found:
        yield f"{where} has {name} twice"
    elif name not in HELP:
        yield f"{where} has {name}, which strobed --help does not list"
    elif HELP[name] != value:
        yield f"{where} has {name} = {value}, but --help says {HELP[name]}"
    elif marked != RELOADS[name]:
        yield f"{where} {'marks' if marked else 'does not mark'} {name} as (reload), unlike server/options.def"
    found[name] = value


def check_all(path, found):
    yield from (f"{path} has no {name}, which strobed --help lists" for name in HELP if name not in found)
    if [name for name in found if name in HELP] != [name for name in HELP if name in found]:
        yield f"{path} has the options in another order than --help"


def check_conf(root):
    path = "conf/strobe.conf"
    found, before = {}, ""
    for number, line in enumerate(tree.read(root, path).splitlines(), 1):
        row = SETTING.match(line)
        if row:
            name, value = row.groups()
            yield from check_entry(f"{path}:{number}", found, name, value, before.endswith("(reload)"))
            if not before.startswith("# "):
                yield f"{path}:{number} does not say above {name} what it is for"
        elif line and not line.startswith("#"):
            yield f"{path}:{number} is neither a comment nor an option"
        before = line
    yield from check_all(path, found)


def check_manual(root):
    path = "man/strobed.8"
    lines = [line.replace("\\-", "-") for line in tree.read(root, path).splitlines()]
    found = {}
    for i, line in enumerate(lines):
        row = ENTRY.match(line)
        # an example in the text is no entry: that one has .TP before it
        if row and lines[i - 1] == ".TP":
            text = lines[i + 1:]
            end = next((j for j, after in enumerate(text) if after.startswith((".TP", ".SH"))), len(text))
            marked = bool(end) and text[end - 1].endswith("(reload)")
            yield from check_entry(f"{path}:{i + 1}", found, *row.groups(), marked)
            if end == 0:
                yield f"{path}:{i + 1} does not say what {row.group(1)} is for"
    yield from check_all(path, found)


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
    complaints += [] if RELOADS.keys() == HELP.keys() else ["server/options.def and strobed --help differ"]
    complaints += check_conf(root)
    complaints += check_manual(root)
    for page in PAGES:
        complaints += check_page(root, page)
    return complaints


def without_entry(name):
    return lambda text: re.sub(rf"(?m)^\.TP\n\.B {re.escape(quoted(name))} = .*\n(?:(?!\.TP|\.SH).*\n)+", "", text)


def quoted(name):
    """As the manual has it: every hyphen is one to copy."""
    return name.replace("-", "\\-")


def without(name):
    return lambda text: re.sub(rf"(?m)^{name} *=.*\n", "", text)


def entry(name, text="It is.\n"):
    return f".TP\n.B {quoted(name)} = {HELP[name]}\n{text}"


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
    tree.Plant("conf/strobe.conf", lambda text: text.replace(" (reload)\n", "\n", 1), "does not mark"),
    tree.Plant("man/strobed.8", ".TP\n.B planted = 1\nIt is.\n", "which strobed --help does not list"),
    tree.Plant("man/strobed.8", f".TP\n.B {NAME} = other\nIt is.\n", "twice"),
    tree.Plant("man/strobed.8", lambda text: text.replace("500", "other").replace("10000", "500"), "but --help says"),
    tree.Plant("man/strobed.8", lambda text: text.replace("(reload)", "", 2), "does not mark"),
    tree.Plant("man/strobed.8", without_entry(NAME), f"has no {NAME}"),
    tree.Plant("man/strobed.8", lambda text: without_entry(NAME)(text) + entry(NAME), "another order"),
    tree.Plant("man/strobed.8", lambda text: without_entry(NAME)(text) + entry(NAME, ""), "what"),
    tree.Plant("README.md", "\nSee `server/planted.c`.\n", "does not exist"),
    tree.Plant("README.md", "\nSee [this](planted.md).\n", "does not exist"),
])
