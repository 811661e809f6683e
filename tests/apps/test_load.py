#!/usr/bin/env python3
"""test_load.py - wrk with a hundred connections for ten seconds sees no error; and who asks nothing costs nothing.

Idle is two figures that the scheduler counted for all threads of the process over IDLE_SECONDS
(/proc/PID/task/*/schedstat): how often they ran, and for how many nanoseconds; ticks would charge a hundredth of a
second to whoever runs for a microsecond when one is due. The claims are "upkeep's timer and no more" and "below 0.2 %".
The first holds in every span. In the second there is the machine's share: on some a program that does nothing but wait
takes much for each waking, and more now and then. So it is the least of a few spans."""
import glob
import os
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import http_client
import strobe_test

IDLE_SECONDS = 5
IDLE_NS = IDLE_SECONDS * 2 * 10**6
IDLE_SPANS = 4
TIMES_MAX = IDLE_SECONDS * 3  # upkeep.c's timer once a second, and some room
KEYS = 1000


def used(pid):
    """What all threads that there are have run: nanoseconds of user and system time, and how often."""
    ns = times = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            words = file.read().split()
        ns += int(words[0])
        times += int(words[2])
    return ns, times


class Load(unittest.TestCase):
    def setUp(self):
        self.server = strobe_test.Server()
        self.addCleanup(self.server.stop)
        with self.server.client() as client:
            client.send(b"".join(strobe_test.request("SET", f"k{i}", "x" * 32) for i in range(KEYS)))
            for _ in range(KEYS):
                self.assertEqual(client.reply(), b"OK")

    def assert_idle(self):
        """After a pause in which what ends or starts timers may settle."""
        time.sleep(1)
        spans = []
        while len(spans) < IDLE_SPANS and not (spans and min(spans)[0] <= IDLE_NS):
            before = used(self.server.pid)
            time.sleep(IDLE_SECONDS)
            after = used(self.server.pid)
            spans.append((after[0] - before[0], after[1] - before[1]))
        self.assertGreater(before[0], 0)
        self.assertLessEqual(min(spans)[0], IDLE_NS, f"(ns, times) in {IDLE_SECONDS} s: {spans}")
        self.assertLessEqual(max(times for _, times in spans), TIMES_MAX, spans)

    def test_wrk_sees_no_error(self):
        done = subprocess.run(["wrk", "-t2", "-c100", "-d10s", f"http://127.0.0.1:{self.server.http_port}/kv/k1"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        told = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, told)
        self.assertNotIn("Socket errors", told)
        self.assertNotIn("Non-2xx", told)
        count = int(re.search(r"(\d+) requests in ", told)[1])
        self.assertGreater(count, 1000, told)
        metrics = http_client.Client(self.server.http_port)
        metrics.send(http_client.get(b"/metrics"))
        hits = int(re.search(rb'strobe_keyspace_reads_total\{result="hit"\} (\d+)', metrics.reply().body)[1])
        metrics.close()
        self.assertGreaterEqual(hits, count)
        self.assert_idle()

    def test_idle_with_open_connections_costs_nothing(self):
        text = [self.server.client() for _ in range(50)]
        http = [http_client.Client(self.server.http_port) for _ in range(50)]
        for i, client in enumerate(text):
            self.assertEqual(client.ask("GET", f"k{i}"), b"x" * 32)
        for client in http:
            client.send(http_client.get(b"/kv/k1"))
            self.assertEqual(client.reply().body, b"x" * 32)
        self.assert_idle()
        self.assertEqual(text[0].ask("PING"), b"PONG")
        for client in text + http:
            client.close()

    def test_idle_with_entries_that_expire_later_costs_nothing(self):
        for i in range(KEYS):
            self.server.resp("EXPIRE", f"k{i}", 3600 + i)
        self.assert_idle()

    def test_idle_with_an_open_scan_costs_nothing(self):
        cursor, _ = self.server.resp("SCAN", 0)
        self.assertNotEqual(cursor, b"0")
        self.assert_idle()


if __name__ == "__main__":
    unittest.main()
