#!/usr/bin/env python3
"""stream_cost.py - what the NDJSON stream of a snapshot costs: entries and bytes a second, CPU an entry, with gzip and
without, and the memory that a stream holds whose reader has stopped.

    STROBED=./strobed tests/bench/stream_cost.py [KEYS]       a million unless told; 14 + 32 bytes each, one loop"""
import os
import re
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import strobe_test
from http_client import Client, get

STALLED = 20


def cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(server, keys):
    with server.client() as client:
        for begin in range(0, keys, 1000):
            client.send(b"".join(strobe_test.request("SET", f"key:{i:010}", f"{i * 2654435761 % 2**32:032}")
                                 for i in range(begin, min(begin + 1000, keys))))
            for _ in range(begin, min(begin + 1000, keys)):
                client.reply()


def stream(server, keys, query, *lines):
    client = Client(server.http_port, receive_buffer=1 << 20)
    used, began, size = cpu(server.pid), time.monotonic(), 0
    client.send(get(b"/kv/?" + query, *lines, b"Connection: close"))
    room = bytearray(1 << 20)
    while taken := client.socket.recv_into(room):
        size += taken
    took, used = time.monotonic() - began, cpu(server.pid) - used
    client.close()
    print(f"  {query.decode():14} {'gzip' if lines else 'plain':5} {keys / took:12,.0f} entries/s"
          f" {size / took / 1e6:8.0f} MB/s {size:12,d} bytes {keys / max(used, 0.01):12,.0f} entries a second of CPU")
    return size


def memory(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as reply:
        text = reply.read().decode()
    return {kind: int(value) for kind, value in re.findall(r'strobe_memory_bytes\{kind="(\w+)"\} (\d+)', text)}


def stalled(server, *lines):
    """Bytes that a stream adds when its reader has stopped, by the allocator's own count."""
    before = memory(server)
    clients = [Client(server.http_port, receive_buffer=4096) for _ in range(STALLED)]
    for client in clients:
        client.send(get(b"/kv/?stream&values", *lines))
        client.head()
    held = 0
    while (now := memory(server)["allocated"]) != held:  # until it has come to rest
        held = now
        time.sleep(0.2)
    after = memory(server)
    for client in clients:
        client.close()
    each = {kind: (after[kind] - before[kind]) / STALLED / 1024 for kind in ("allocated", "buffers", "scan")}
    print(f"  a stalled stream, {'gzip' if lines else 'plain':5}: {each['allocated']:4.0f} KiB allocated,"
          f" {each['buffers']:4.0f} KiB counted as buffers, {each['scan']:4.0f} KiB for the snapshot")


def main():
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    with strobe_test.Server("--threads", "1") as server:
        load(server, keys)
        print(f"{keys} keys of 14 + 32 bytes, {memory(server)['resident'] / 2**20:.0f} MiB resident:")
        for query in (b"stream", b"stream&values"):
            plain = stream(server, keys, query)
            packed = stream(server, keys, query, b"Accept-Encoding: gzip")
            print(f"  {'':14} gzip makes {packed / plain:.3f} of it")
        stalled(server)
        stalled(server, b"Accept-Encoding: gzip")


main()
