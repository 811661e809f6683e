"""tree.py - what the checks of the source share: which files there are, and how a check proves that it can fail.

A check is a function check(root) that answers a list of complaints, each beginning with a path, and a list of
plants: violations that it must catch. run() first copies the tree, puts every plant in alone and looks for the
complaint, and only then checks the tree itself. So a check that has gone blind fails too.
"""
import os
import shutil
import sys
import tempfile

FOLDERS = ("map", "protocol", "server", "clients", "tests", "conf", "man", ".ci")
BY_HAND = (".c", ".h", ".def", ".py", ".sh", ".mjs", ".lua", ".conf", ".1", ".8")


def files(root, folders=FOLDERS, endings=BY_HAND):
    """The paths below root, relative to it, of all files that people write; what a build leaves is not among them."""
    found = []
    for folder in folders:
        for where, below, names in os.walk(os.path.join(root, folder)):
            below[:] = sorted(d for d in below if d not in ("node_modules", "__pycache__", ".deps", "corpus", "build"))
            for name in sorted(names):
                if name.endswith(endings):
                    found.append(os.path.relpath(os.path.join(where, name), root))
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", newline="") as file:
        return file.read()


class Plant:
    """A violation: `text` is added to the file at `path` (which is made when it is not there), at its end or its
    beginning, or is a function from the old text to the new; the check must answer a complaint that begins with
    the path and contains `says`."""

    def __init__(self, path, text, says, first=False):
        self.path, self.text, self.says, self.first = path, text, says, first

    def put(self, root):
        target = os.path.join(root, self.path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        before = ""
        if os.path.exists(target):
            with open(target, encoding="utf-8", newline="") as file:
                before = file.read()
        if callable(self.text):
            after = self.text(before)
        else:
            after = self.text + before if self.first else before + self.text
        with open(target, "w", encoding="utf-8", newline="") as file:
            file.write(after)


def copy(root, to):
    for path in files(root) + [f for f in os.listdir(root) if f.endswith((".md", ".am"))]:
        os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
        shutil.copyfile(os.path.join(root, path), os.path.join(to, path))


def unseen(check, root, plants):
    """The plants that the check did not catch."""
    missed = []
    for plant in plants:
        with tempfile.TemporaryDirectory(prefix="strobe-lint-") as place:
            copy(root, place)
            clean = check(place)
            plant.put(place)
            new = [line for line in check(place) if line not in clean]
            if not any(line.startswith(plant.path) and plant.says in line for line in new):
                missed.append(f"{plant.path}: not caught: {plant.says!r} (got {new})")
    return missed


def report(name, checked, plants, missed, complaints):
    """Prints the outcome, answers the exit status."""
    for line in missed:
        print(f"{name}: the check is blind: {line}")
    for line in complaints:
        print(f"{name}: {line}")
    if missed or complaints:
        return 1
    print(f"{name}: {checked} fine; {plants} planted violations were caught")
    return 0


def top():
    return os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def build():
    """The folder of the build: the tests get it from make; by hand it is the current one."""
    return os.environ.get("top_builddir") or os.getcwd()


def run(name, check, plants):
    root = top()
    sys.exit(report(name, f"{len(files(root))} files", len(plants), unseen(check, root, plants), check(root)))
