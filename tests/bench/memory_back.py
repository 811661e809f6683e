#!/usr/bin/env python3
"""memory_back.py - what strobed's resident memory does when keys come and go: SPEC 9, "memory comes back".

A million keys of 14 + 32 bytes are set; half of them, then nine tenths, then all are deleted, in an order that is not
the map's; they are set again, rewritten with values of other lengths, and flushed. After each step it waits until the
figure has not changed for WAIT seconds. MALLOC_CONF reaches strobed: what other settings of jemalloc do is seen so.

    STROBED=./strobed [MALLOC_CONF=thp:always] tests/bench/memory_back.py
"""
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import strobe_test  # noqa: E402

KEYS = 1000000
WAIT = 5
END = b"+PONG\r\n"


def resident(server):
    """KiB."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def settled(server):
    last, since = resident(server), time.monotonic()
    while time.monotonic() - since < WAIT:
        time.sleep(0.2)
        now = resident(server)
        if now != last:
            last, since = now, time.monotonic()
    return last


def send(server, commands):
    """All of them in one pipeline."""
    data = b"".join(strobe_test.request(*command) for command in commands) + strobe_test.request("PING")
    with socket.create_connection(("127.0.0.1", server.port)) as door:
        sender = threading.Thread(target=door.sendall, args=(data,))
        sender.start()
        tail = b""
        while not tail.endswith(END):
            tail = (tail + door.recv(1 << 20))[-len(END):]
        sender.join()


def key(number):
    return f"key:{number:010d}"


def main():
    server = strobe_test.Server("--threads", "2")
    order = list(range(KEYS))
    random.Random(1).shuffle(order)
    start = settled(server)
    print(f"{'idle':24} {start:8} KiB")
    steps = (
        ("a million keys", [("SET", key(i), "x" * 32) for i in range(KEYS)]),
        ("half of them deleted", [("DEL", key(i)) for i in order[:KEYS // 2]]),
        ("nine tenths deleted", [("DEL", key(i)) for i in order[KEYS // 2:KEYS * 9 // 10]]),
        ("all deleted", [("DEL", key(i)) for i in order[KEYS * 9 // 10:]]),
        ("a million again", [("SET", key(i), "x" * 32) for i in range(KEYS)]),
        ("rewritten, 0-99 bytes", [("SET", key(i), "x" * (i * 37 % 100)) for i in order]),
        ("flushed", [("FLUSHALL",)]),
    )
    try:
        for name, commands in steps:
            send(server, commands)
            print(f"{name:24} {settled(server) - start:+8} KiB", flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
