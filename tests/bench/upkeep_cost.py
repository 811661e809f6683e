#!/usr/bin/env python3
"""upkeep_cost.py - what is done unasked: how exactly scan-memory holds, and how soon expired entries are gone.

    STROBED=./strobed tests/bench/upkeep_cost.py [ROUNDS]        (3 unless told)

`scan bytes`: the most that INFO tells of, as a share of scan-memory, while every key is written anew beside idle scans.
`gone`: seconds until a million keys that expire at one instant are no longer counted; meanwhile a client asks all the
time, and `ping` is its longest wait, in ms, `slice` the longest of the sweep's (0: below a millisecond)."""
import os
import re
import sys
import threading
import time

from memory_back import key, send

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from strobe_test import Server  # noqa: E402  (the path comes first)

SCAN_MEMORY = 16 << 20
SCANS = 8
IDLE_SECONDS = 5.5  # a scan is not closed for the limit in the 5 s after it was read
SCANNED = 200000
EXPIRING = 1000000
LEAD_SECONDS = 20  # in which those keys have to be written


def most_held(server):
    """Bytes, while all that is there is written anew."""
    with server.client() as client:
        writer = threading.Thread(target=send, args=(server, (("SET", key(i), "y" * 100) for i in range(SCANNED))))
        writer.start()
        held = []
        while writer.is_alive() or not held:
            held.append(int(re.search(rb"strobe_scan_bytes:(\d+)", client.ask("INFO", "memory"))[1]))
        writer.join()
    return max(held)


def scan_memory():
    with Server("--threads", "1", "--scan-memory", str(SCAN_MEMORY)) as server:
        send(server, (("SET", key(i), "x" * 100) for i in range(SCANNED)))
        for _ in range(SCANS):
            server.resp("SCAN", 0)
        time.sleep(IDLE_SECONDS)
        return most_held(server) / SCAN_MEMORY


def expiry():
    with Server("--threads", "1", "--slowlog-threshold", "1ms") as server, server.client() as client:
        instant = time.time() + LEAD_SECONDS
        send(server, (("SET", key(i), "x" * 32, "PXAT", int(instant * 1000)) for i in range(EXPIRING)))
        if client.ask("DBSIZE") != EXPIRING:
            sys.exit(f"upkeep_cost: {EXPIRING} keys could not be written in {LEAD_SECONDS} s")
        time.sleep(max(0, instant - time.time()))
        longest = 0
        while client.ask("DBSIZE") > 0:
            asked = time.monotonic()
            client.ask("PING")
            longest = max(longest, time.monotonic() - asked)
        gone = time.time() - instant
        slices = [event[3] for event in client.ask("LATENCY", "LATEST") if event[0] == b"expire-cycle"]
    return gone, longest * 1000, max(slices, default=0)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print("scan bytes  gone  ping  slice")
    for _ in range(rounds):
        print(f"{scan_memory():10.2f}  {'{:4.2f}  {:4.1f}  {:5d}'.format(*expiry())}", flush=True)


if __name__ == "__main__":
    main()
