#!/usr/bin/env python3
"""large_pause.py - how long a loop's other clients wait while one writes, changes or removes a value of 200 MB.

    tests/bench/large_pause.py [--rounds 5] [--mb 200] STROBED [STROBED-TO-COMPARE]

Each server has one loop. A process of its own sends PING after PING; of each operation the longest answer is kept, and
the median over the rounds is printed, with the peak of resident memory. Two servers take turns, round by round, and the
third column is the ratio of their medians."""
import argparse
import multiprocessing
import os
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import http_client  # noqa: E402  (the path comes first)
from strobe_test import Server, request  # noqa: E402


def ping(port, ready, over, answer):
    """The longest of many PINGs, in milliseconds."""
    from strobe_test import Client
    with Client(("127.0.0.1", port)) as client:
        longest = 0.0
        while not over.is_set():
            start = time.perf_counter()
            client.ask("PING")
            longest = max(longest, time.perf_counter() - start)
            ready.set()
            time.sleep(0.0003)
    answer.put(longest * 1000)


def pause(server, act):
    ready, over, answer = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
    pinger = multiprocessing.Process(target=ping, args=(server.port, ready, over, answer))
    pinger.start()
    ready.wait()
    act()
    over.set()
    longest = answer.get()
    pinger.join()
    return longest


def chunked(client, path, value):
    client.send(b"PUT " + path + b" HTTP/1.1\r\n" + http_client.HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    for at in range(0, len(value), 1000000):
        piece = value[at:at + 1000000]
        client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    client.send(b"0\r\n\r\n")
    assert client.reply().status in (201, 204)


def put(client, path, value):
    client.send(http_client.put(path, value))
    assert client.reply().status in (201, 204)


def run(binary, value):
    """One round: the longest pause of each operation, and the peak of memory after the first SET and at the end."""
    os.environ["STROBED"] = binary
    figures = {}
    with Server("--threads", "1") as server, server.client() as client, \
            http_client.Client(server.http_port) as http:
        data = request("SET", "a", value)

        def peak():
            with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
                return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024

        def ask(*words):
            client.ask(*words)

        def set_large():
            client.send(data)
            client.reply()
        figures["SET"] = pause(server, set_large)
        figures["peak MiB"] = peak()
        figures["SET over another"] = pause(server, set_large)
        figures["PUT, length known"] = pause(server, lambda: put(http, b"/kv/b", value))
        figures["PUT, chunked"] = pause(server, lambda: chunked(http, b"/kv/c", value))
        figures["APPEND of 1 byte"] = pause(server, lambda: ask("APPEND", "a", "x"))
        figures["100 more"] = pause(server, lambda: [ask("APPEND", "a", "x") for _ in range(100)])
        figures["SETRANGE of 1 byte"] = pause(server, lambda: ask("SETRANGE", "a", 5, "x"))
        figures["DEL of the three"] = pause(server, lambda: ask("DEL", "a", "b", "c"))
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("strobed", nargs="+")
    options = parser.parse_args()
    value = bytes(range(250)) * (options.mb * 4000)
    rounds = [[run(binary, value) for binary in options.strobed] for _ in range(options.rounds)]
    print(f"longest PING in ms beside it, median of {options.rounds}")
    for name in rounds[0][0]:
        medians = [statistics.median(figures[i][name] for figures in rounds) for i in range(len(options.strobed))]
        ratio = f"   {medians[0] / medians[1]:6.3f}" if len(medians) > 1 else ""
        print(f"{name:20}" + "".join(f"{median:9.1f}" for median in medians) + ratio)


if __name__ == "__main__":
    main()
