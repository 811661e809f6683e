#!/usr/bin/env python3
"""manual.py - the manual of the commands says what their table says: strobe-commands(7), as it was built, has an entry
for each row of server/commands.def with the words that it takes, and none for anything else."""
import os
import re

import tree

TABLE = "server/commands.def"
PAGE = os.path.join(tree.build(), "man", "strobe-commands.7")
ENTRY = re.compile(r"^\.TP\n\\fB([A-Z \\-]+)\\fR ?(.*)\n(.*)$", re.MULTILINE)
PIECE = re.compile(r'"((?:\\.|[^"\\])*)"|([(),])|[^"(),]+')
ONLY_DEBUG = re.compile(r"^#ifdef STROBE_DEBUG\n(.*?)^#endif\n", re.MULTILINE | re.DOTALL)


def arguments(text):
    """The arguments of the macro call that TEXT begins with, strings put together and without their quotes."""
    found, depth = [""], 0
    for piece in PIECE.finditer(text):
        string, sign = piece.group(1), piece.group(2)
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and sign == ")":
            return found
        if depth == 1 and sign == ",":
            found.append("")
        elif string is not None:
            found[-1] += string
    return found


def rows(text):
    """name -> (syntax, summary) of all rows that are in the manual: a container's are those of its subcommands."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    calls = [arguments(text[at.end() - 1:]) for at in re.finditer(r"^COMMAND\(", text, re.MULTILINE)]
    names = {call[0] for call in calls}
    containers = {name.split("|")[0] for name in names if "|" in name} - {"command"}
    return {call[0].replace("|", " ").upper(): (call[-1], call[-2]) for call in calls if call[0] not in containers}


def check(root):
    table = tree.read(root, TABLE)
    wanted, optional = rows(ONLY_DEBUG.sub("", table)), rows("".join(ONLY_DEBUG.findall(table)))
    with open(PAGE, encoding="utf-8") as file:
        entries = [[part.replace("\\-", "-") for part in entry] for entry in ENTRY.findall(file.read())]
    found = {name: (syntax, summary) for name, syntax, summary in entries}
    complaints = [f"{TABLE}: {name} is in the manual twice" for name in {entry[0] for entry in entries}
                  if sum(entry[0] == name for entry in entries) > 1]
    for name, (syntax, summary) in wanted.items():
        if name not in found:
            complaints.append(f"{TABLE}: {name} is not in the manual")
        elif found[name][0] != syntax:
            complaints.append(f"{TABLE}: {name} takes '{syntax}', but '{found[name][0]}' in the manual")
        elif found[name][1] != summary + ".":
            complaints.append(f"{TABLE}: {name} is '{summary}', but the manual says '{found[name][1]}'")
    complaints += [f"{TABLE} has no {name}, which is in the manual" for name in found
                   if name not in wanted and name not in optional]
    if len(found) < 90:
        complaints.append(f"{TABLE}: the manual lists only {len(found)} commands")
    return complaints


PLANTED = ('COMMAND("planted", cmd_get, 2, FLAGS2(READONLY, FAST), 1, 1, 1, "RO",\n'
           '        "string", "1.0.0", "O(1)", "Is planted", "key")\n')
tree.run("manual", check, [
    tree.Plant(TABLE, PLANTED, "PLANTED is not in the manual"),
    tree.Plant(TABLE, lambda text: text.replace('"key version"', '"key number"'), "DELIFVER takes 'key number'"),
    tree.Plant(TABLE, lambda text: text.replace('"[count] [PHASES]"', '"[count]"'), "SLOWLOG GET takes '[count]'"),
    tree.Plant(TABLE, lambda text: text.replace('"getdel"', '"getaway"'), "has no GETDEL"),
    tree.Plant(TABLE, lambda text: text.replace("Gives a part of a value", "Gives"), "GETRANGE is 'Gives'"),
])
