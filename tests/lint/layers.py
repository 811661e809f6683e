#!/usr/bin/env python3
"""layers.py - keeps the layers apart by reading the #include lines.

    server/   ->  protocol/, map/map.h          clients/  ->  protocol/
    protocol/ ->  nothing of ours, no threads   map/      ->  nothing of ours, no sockets

A test folder sees what its subject sees. A function that is declared by `extern` in a .c file would go round
this check, so that is refused too.
"""
import os
import re

import tree

C_ONLY = set("""
    assert ctype errno float inttypes limits math stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib
    stdnoreturn string strings time emmintrin immintrin nmmintrin smmintrin tmmintrin x86intrin arm_neon endian
    sys/types sys/time sys/uio
""".split())
MAP_SYSTEM = C_ONLY | set("pthread sched unistd sys/mman sys/random sys/syscall linux/futex".split())
ANY = None

# folder -> (folders or headers of ours, system headers without .h; ANY = all)
RULES = {
    "map": (["map/"], MAP_SYSTEM),
    "protocol": (["protocol/"], C_ONLY),
    "server": (["server/", "protocol/", "map/map.h"], ANY),
    "clients": (["clients/", "protocol/"], ANY),
    "man": (["server/commands.def"], C_ONLY),
    "tests/clients": (["clients/", "protocol/", "tests/"], ANY),
    "tests/map": (["map/", "tests/"], MAP_SYSTEM | {"cmocka", "setjmp", "signal", "sys/wait"}),
    "tests/memory": (["map/", "tests/"], MAP_SYSTEM | {"cmocka", "setjmp"}),
    "tests/model": (["map/", "tests/"], MAP_SYSTEM | {"cmocka", "setjmp"}),
    "tests/stress": (["map/", "tests/"], MAP_SYSTEM | {"cmocka", "setjmp"}),
    "tests/protocol": (["protocol/", "tests/"], C_ONLY | {"cmocka", "setjmp"}),
}

# One file name pattern each that may see one header more.
ALSO = [
    (re.compile(r"^protocol/http_\w+\.[ch]$"), "http_parser"),
    (re.compile(r"^tests/protocol/test_http_\w+\.c$"), "http_parser"),
    (re.compile(r"^(protocol/|tests/protocol/test_)http_target\.c$"), "arpa/inet"),  # is it an address?
    (re.compile(r"^protocol/json\w*\.[ch]$"), "jansson"),
]

INCLUDE = re.compile(r"^\s*#\s*include\s*(.*)$")
EXTERN = re.compile(r"^\s*extern\b")


def rule_for(path):
    folders = sorted((f for f in RULES if path.startswith(f + "/")), key=len)
    return RULES[folders[-1]] if folders else None


def complain(root, path, what, rule):
    ours, system = rule
    quoted = re.match(r'"([^"]+)"', what)
    angled = re.match(r"<([^>]+)\.h>", what)
    if quoted:
        name = quoted.group(1)
        if not any(name == o or (o.endswith("/") and name.startswith(o)) for o in ours):
            return f"may not include {name} (only {', '.join(ours)})"
        if not os.path.exists(os.path.join(root, name)):
            return f"includes {name}, which is not a path from the top of the tree"
    elif angled:
        name = angled.group(1)
        also = any(pattern.match(path) and name == header for pattern, header in ALSO)
        if system is not ANY and name not in system and not also:
            return f"may not include <{name}.h>"
    else:
        return f"includes {what}: write a name in quotes or brackets"
    return None


def check(root):
    complaints = []
    for path in tree.files(root, endings=(".c", ".h")):
        rule = rule_for(path)
        if rule is None:
            continue
        for number, line in enumerate(tree.read(root, path).splitlines(), 1):
            include = INCLUDE.match(line)
            if include:
                what = complain(root, path, include.group(1), rule)
                if what:
                    complaints.append(f"{path}:{number} {what}")
            elif EXTERN.match(line) and path.endswith(".c") and not path.startswith("tests/"):
                complaints.append(f"{path}:{number} declares by extern what belongs in a header")
    return complaints


tree.run("layers", check, [
    tree.Plant("map/planted.c", '#include "protocol/buf.h"\n', "may not include protocol/buf.h"),
    tree.Plant("map/planted.c", "#include <uv.h>\n", "may not include <uv.h>"),
    tree.Plant("map/planted.h", "#  include <sys/socket.h>\n", "may not include <sys/socket.h>"),
    tree.Plant("map/planted.c", '#include "map/none.h"\n', "not a path"),
    tree.Plant("map/planted.c", '#include "map.h"\n', "may not include map.h"),
    tree.Plant("map/planted.c", "#include SOME_HEADER\n", "write a name"),
    tree.Plant("protocol/planted.c", '#include "map/map.h"\n', "may not include map/map.h"),
    tree.Plant("protocol/planted.c", "#include <pthread.h>\n", "may not include <pthread.h>"),
    tree.Plant("protocol/planted.c", "#include <http_parser.h>\n", "may not include <http_parser.h>"),
    tree.Plant("server/planted.c", '#include "map/segment.h"\n', "may not include map/segment.h"),
    tree.Plant("server/planted.c", '#include "clients/x.h"\n', "may not include clients/x.h"),
    tree.Plant("server/planted.c", "extern int worker_count;\n", "declares by extern"),
    tree.Plant("clients/planted.c", '#include "server/conn.h"\n', "may not include server/conn.h"),
    tree.Plant("clients/planted.c", '#include "map/map.h"\n', "may not include map/map.h"),
    tree.Plant("tests/map/planted.c", '#include "server/conn.h"\n', "may not include server/conn.h"),
])
