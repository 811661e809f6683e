#!/usr/bin/env python3
"""idle_cost.py - what connections that do nothing cost: resident memory each, and processor time together.

    STROBED=./strobed tests/bench/idle_cost.py [CONNECTIONS]        (5000 of each door unless told)

Prints three figures; ends with 1 when a connection costs more than 4 KiB, or the idle server more than 1 % of a
processor."""
import os
import re
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from strobe_test import Server  # noqa: E402  (the path comes first)

SECONDS = 5
LIMIT_KIB = 4


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * count + 100), hard))
    with Server("--max-clients", str(2 * count + 10)) as server:
        server.resp("SET", "k", "v" * 32)
        before = resident_kib(server.pid)
        text = [server.client() for _ in range(count)]
        for client in text:
            client.ask("GET", "k")
        middle = resident_kib(server.pid)
        http = [socket.create_connection(("127.0.0.1", server.http_port)) for _ in range(count)]
        for door in http:
            door.sendall(b"GET /kv/k HTTP/1.1\r\nHost: localhost\r\n\r\n")
            door.recv(4096)
        after = resident_kib(server.pid)
        time.sleep(1)  # the allocator's decay
        start = ticks(server.pid)
        time.sleep(SECONDS)
        busy = (ticks(server.pid) - start) / os.sysconf("SC_CLK_TCK") / SECONDS * 100
        for door in http:
            door.close()
        for client in text:
            client.close()
    costs = [(middle - before) / count, (after - middle) / count]
    print(f"text connection  {costs[0]:.2f} KiB\nHTTP connection  {costs[1]:.2f} KiB\nidle processor   {busy:.2f} %")
    return 1 if max(costs) > LIMIT_KIB or busy > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
