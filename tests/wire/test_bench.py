#!/usr/bin/env python3
"""test_bench.py - strobe-bench against strobed, redis-server and nginx; and against a server that lies, where every lie
must be noticed: that is what --check is for."""
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import unittest

import strobe_test
from strobe_test import Server

BENCH = os.environ.get("STROBE_BENCH", "./strobe-bench")
PERCENTILES = ["count", "mean", "min", "p50", "p90", "p99", "p99_9", "p99_99", "max"]
SHAPE = {
    "": ["version", "options", "interrupted", "elapsed_ns", "requests", "requests_per_second", "bytes_sent",
         "bytes_received", "hits", "misses", "faults", "latency_ns", "rate", "prefill", "scan", "client"],
    "options": ["door", "host", "port", "unix_socket", "clients", "threads", "pipeline", "gets", "sets", "command",
                "keys", "key_minimum", "key_size", "dist", "size_min", "size_max", "ttl_ms", "rate", "check"],
    "faults": ["all", "error_replies", "wrong_values", "missing_keys", "malformed_replies", "lost_connections",
               "unanswered_requests", "unsent_requests", "scan_faults", "first"],
    "latency_ns": ["all", "get", "set", "command"],
    "rate": ["asked", "intended", "sent", "late_ns"],
    "prefill": ["keys", "elapsed_ns", "requests_per_second"],
    "scan": ["elapsed_ns", "scans", "whole", "keys", "keys_per_second", "missing", "repeated", "bytes_received",
             "cpu_ns", "page_ns"],
    "client": ["cpu_ns", "cpu_ns_per_request"],
}


def bench(*options):
    """Its status, standard output and standard error."""
    done = subprocess.run([BENCH, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=strobe_test.PATIENCE * 2, check=False)
    return done.returncode, done.stdout, done.stderr


def figures(*options):
    """Its status, and what --json says."""
    status, out, errors = bench("--json", *options)
    if status not in (0, 1, 130) or strobe_test.WRONG.search(errors):
        raise AssertionError(f"strobe-bench ended with {status}: {errors}")
    return status, json.loads(out)


class Good(unittest.TestCase):
    """Against a server that does what it should."""

    def setUp(self):
        self.server = Server("--threads", "2")
        self.addCleanup(self.server.stop)
        self.doors = {"resp": self.server.port, "http": self.server.http_port}

    def good(self, *options, door="resp"):
        status, told = figures("--door", door, "--port", self.doors[door], *options)
        self.assertEqual((status, told["faults"]["all"]), (0, 0), told["faults"])
        return told

    def test_all_values_are_right_at_both_doors(self):
        for door in self.doors:
            for pipeline, size in ((1, "32"), (16, "0-300"), (7, "3"), (3, "15-17"), (50, "5000-9000")):
                told = self.good("--prefill", "--check", "--keys", 500, "--requests", 5000, "--pipeline", pipeline,
                                 "--size", size, "--ratio", "3:1", "--clients", 11, "--threads", 2, door=door)
                self.assertEqual(told["requests"], 5000)
                self.assertEqual(told["latency_ns"]["get"]["count"] + told["latency_ns"]["set"]["count"], 5000)
                self.assertEqual(told["hits"], told["latency_ns"]["get"]["count"])
                self.assertEqual(told["misses"], 0)
                self.assertEqual(told["prefill"]["keys"], 500)

    def test_large_values_are_right_at_both_doors(self):
        for door in self.doors:
            told = self.good("--prefill", "--check", "--keys", 20, "--requests", 100, "--size", "1mb-3mb",
                             "--pipeline", 4, "--ratio", "1:1", "--clients", 5, door=door)
            self.assertEqual(told["requests"], 100)
            self.assertGreater(told["bytes_received"], 20 << 20)

    def test_what_one_door_sets_the_other_reads(self):
        self.good("--prefill", "--keys", 300, "--requests", 1, "--size", "5-500")
        told = self.good("--check", "--keys", 300, "--ratio", "1:0", "--requests", 1000, door="http")
        self.assertEqual(told["hits"], 1000)

    def test_values_of_another_prefix_are_wrong(self):
        self.server.resp("SET", "key:000000000000", "x" * 32)
        status, told = figures("--port", self.server.port, "--check", "--keys", 1, "--ratio", "1:0", "--requests", 10)
        self.assertEqual((status, told["faults"]["wrong_values"]), (1, 10))

    def test_keys_that_were_never_set_are_misses_and_no_faults(self):
        for door in self.doors:
            told = self.good("--check", "--keys", 10, "--key-prefix", "none:", "--ratio", "1:0", "--requests", 100,
                             door=door)
            self.assertEqual((told["hits"], told["misses"]), (0, 100))

    def test_prefilled_keys_that_vanish_are_faults(self):
        for door in self.doors:
            command = [BENCH, "--door", door, "--port", str(self.doors[door]), "--prefill", "--check", "--keys", "50",
                       "--ratio", "1:0", "--rate", "2000", "--requests", "4000", "--json"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.addCleanup(process.stdout.close)
            self.wait_hits()
            self.server.resp("FLUSHALL")
            told = json.loads(process.communicate(timeout=strobe_test.PATIENCE)[0])
            self.assertEqual(process.returncode, 1)
            self.assertGreater(told["faults"]["missing_keys"], 0)
            self.assertEqual(told["faults"]["missing_keys"], told["misses"])

    def endless(self, *options):
        """A load that somebody has to end."""
        return subprocess.Popen([BENCH, "--port", str(self.server.port), "--prefill", "--keys", "100", "--seconds",
                                 "1h", "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_hits(self):
        """Until the load has begun to read; each look at INFO is an event."""
        def hits():
            return int(re.search(rb"keyspace_hits:(\d+)", self.server.resp("INFO", "stats"))[1])
        before, end = hits(), time.monotonic() + strobe_test.PATIENCE
        while hits() < before + 10:
            self.assertLess(time.monotonic(), end, "the load does not begin")

    def test_a_fixed_rate_sends_what_it_should(self):
        for door in self.doors:
            told = self.good("--rate", 2000, "--seconds", "500ms", "--clients", 20, "--threads", 2, "--pipeline", 100,
                             "--keys", 100, door=door)
            self.assertEqual(told["rate"]["asked"], 2000)
            self.assertEqual(told["rate"]["intended"], 1000)
            self.assertEqual((told["rate"]["sent"], told["requests"]), (1000, 1000))
            self.assertGreaterEqual(told["elapsed_ns"], 490e6)

    def test_latency_counts_from_when_a_request_was_due(self):
        """The only connection waits 300 ms for a reply; the requests that were due meanwhile waited, too."""
        with Fake(late(0.3, 20)) as fake:
            options = ("--port", fake.port, "--clients", 1, "--ratio", "0:1", "--requests", 500)
            status, told = figures(*options, "--rate", 1000)
            self.assertEqual((status, told["requests"]), (0, 500))
            self.assertGreater(told["latency_ns"]["all"]["p90"], 100e6)
            status, told = figures(*options)
            self.assertLess(told["latency_ns"]["all"]["p90"], 100e6)

    def test_a_stall_at_the_end_is_charged_whole(self):
        """The reply to request 100 comes 300 ms behind the end: those that were due meanwhile are sent, and waited."""
        with Fake(late(0.8, 100, 101)) as fake:
            status, told = figures("--port", fake.port, "--clients", 2, "--ratio", "0:1", "--rate", 200, "--seconds", 1)
        self.assertEqual((status, told["rate"]["intended"], told["requests"]), (0, 200, 200), told["faults"])
        self.assertGreater(told["latency_ns"]["all"]["p50"], 300e6)

    def test_what_was_due_and_could_not_be_sent_is_a_fault(self):
        """A server that needs 50 ms for a request gets 100 of them a second, and 300 ms more for what is left."""
        with Fake(late(0.05)) as fake:
            status, told = figures("--port", fake.port, "--clients", 1, "--ratio", "0:1", "--rate", 100, "--seconds", 1,
                                   "--timeout", "300ms")
        faults = told["faults"]
        self.assertEqual((status, told["rate"]["intended"]), (1, 100))
        self.assertGreater(faults["unsent_requests"], 50)
        self.assertEqual(told["requests"] + faults["unanswered_requests"] + faults["unsent_requests"], 100, faults)

    def test_what_was_due_when_all_connections_had_gone_is_a_fault(self):
        with Fake(lambda _, number: b"+OK\r\n" if number <= 10 else None) as fake:
            status, told = figures("--port", fake.port, "--clients", 2, "--ratio", "0:1", "--rate", 100, "--seconds", 1)
        faults = told["faults"]
        self.assertEqual((status, told["rate"]["intended"], told["requests"]), (1, 100, 10))
        self.assertEqual(faults["unanswered_requests"] + faults["unsent_requests"], 90, faults)

    def test_no_connection_takes_over_what_another_owes(self):
        """One of two connections waits to the end; half of what was due meanwhile is its own, and waited."""
        with Fake(late(0.8, 100)) as fake:
            status, told = figures("--port", fake.port, "--clients", 2, "--ratio", "0:1", "--rate", 200, "--requests",
                                   200)
        self.assertEqual((status, told["rate"]["intended"], told["requests"]), (0, 200, 200), told["faults"])
        self.assertGreater(told["latency_ns"]["all"]["p90"], 300e6)

    def test_a_connection_that_ends_keeps_what_is_its_own(self):
        """Each twentieth reply is late and announces its connection's end; what was on the way behind comes again."""
        lock = threading.Event()

        def last(words, count):
            if count % 20 != 0:
                return b"HTTP/1.1 204 No Content\r\n\r\n"
            lock.wait(0.03)
            return b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        with Fake(last, http=True) as fake:
            status, told = figures("--door", "http", "--port", fake.port, "--clients", 3, "--pipeline", 4, "--ratio",
                                   "0:1", "--rate", 500, "--seconds", "600ms")
        self.assertEqual((status, told["rate"]["intended"], told["requests"]), (0, 300, 300), told["faults"])

    def test_scans_beside_the_load_are_whole(self):
        for door in self.doors:
            for values in ([], ["--scan-values"]):
                told = self.good("--prefill", "--check", "--keys", 2000, "--seconds", "400ms", "--ratio", "1:1",
                                 "--size", "0-100", "--scan-beside", 500, *values, door=door)["scan"]
                self.assertEqual((told["missing"], told["repeated"], told["whole"]), (0, 0, told["scans"]))
                self.assertGreater(told["keys"], 0)
                told = self.good("--clients", 0, "--seconds", "300ms", "--scan-beside", *values, door=door)
                self.assertGreater(told["scan"]["scans"], 0)
                self.assertEqual(told["requests"], 0)

    def test_commands_are_what_the_template_says(self):
        reads = self.good("--prefill", "--check", "--keys", 100, "--requests", 300, "--size", "10-50", "--pipeline", 5,
                          "--command", "MGET" + " __key__" * 30)
        self.assertEqual((reads["hits"], reads["latency_ns"]["command"]["count"]), (9000, 300))
        self.good("--keys", 100, "--requests", 200, "--size", "10-50", "--pipeline", 3,
                  "--command", "MSET" + " __key__ __value__" * 20)
        reads = self.good("--check", "--keys", 100, "--requests", 200, "--command", "MGET __key__")
        self.assertEqual(reads["hits"], 200)
        self.good("--keys", 1, "--requests", 123, "--command", "incrby c:__key__ 2")
        self.assertEqual(self.server.resp("GET", "c:key:000000000000"), b"246")
        self.good("--requests", 10, "--command", 'SET "a b" "c\\nd"')
        self.assertEqual(self.server.resp("GET", "a b"), b"c\nd")
        self.good("--requests", 50, "--keys", 5, "--command", "scan 0 count 10")
        self.good("--requests", 50, "--command", "hello 3")

    def test_ttl_is_set_at_both_doors(self):
        for door in self.doors:
            self.server.resp("FLUSHALL")
            self.good("--ratio", "0:1", "--keys", 10, "--requests", 100, "--ttl", "1000s", door=door)
            self.assertIn(self.server.resp("TTL", self.server.resp("RANDOMKEY")), range(900, 1001))

    def test_keys_begin_where_they_should(self):
        self.good("--prefill", "--check", "--keys", 100, "--key-minimum", 950, "--key-size", 8, "--requests", 1000,
                  "--scan-beside")
        self.assertEqual(self.server.resp("EXISTS", "key:0949", "key:0950", "key:1049", "key:1050"), 2)

    def test_sequential_reaches_every_key_once(self):
        self.good("--ratio", "0:1", "--dist", "sequential", "--keys", 1000, "--requests", 1000, "--threads", 3)
        self.assertEqual(self.server.resp("DBSIZE"), 1000)

    def test_json_has_the_documented_shape(self):
        told = self.good("--prefill", "--keys", 100, "--rate", 1000, "--seconds", "300ms", "--scan-beside")
        for name, members in SHAPE.items():
            self.assertEqual(list(told[name] if name else told), members)
        self.assertEqual(list(told["latency_ns"]["all"]), PERCENTILES)
        self.assertEqual(list(told["rate"]["late_ns"]), PERCENTILES)
        rising = [told["latency_ns"]["all"][name] for name in PERCENTILES[2:]]
        self.assertEqual(rising, sorted(rising))
        told = self.good("--requests", 10)
        self.assertEqual([told[name] for name in ("rate", "prefill", "scan")], [None] * 3)
        self.assertIsNone(told["latency_ns"]["command"])
        with open(os.path.join(os.environ.get("top_srcdir", "."), "man", "strobe-bench.1"), encoding="utf-8") as page:
            manual = page.read()
        for name in {member for members in SHAPE.values() for member in members} | set(PERCENTILES):
            self.assertIn(name, manual, "the manual does not have this member")

    def test_text_and_line_have_the_figures(self):
        status, out, errors = bench("--port", self.server.port, "--requests", 500, "--progress")
        self.assertEqual((status, re.search(r"\nall +(\d+)", out)[1]), (0, "500"), errors)
        status, out, errors = bench("--port", self.server.port, "--requests", 500, "--quiet")
        self.assertRegex(out, r"^500 requests, \d+ /s, p50 [\d.]+ us, p99 [\d.]+ us, 0 faults\n$")
        self.assertEqual((status, errors), (0, ""))

    def test_progress_is_told_where_it_is_asked_for(self):
        status, _, errors = bench("--port", self.server.port, "--rate", 100, "--seconds", "1500ms", "--progress")
        self.assertEqual(status, 0)
        self.assertRegex(errors, r"^load +\d+\.\d s +\d+ requests")

    def test_ctrl_c_prints_what_was_measured(self):
        process = self.endless("--scan-beside")
        self.wait_hits()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=strobe_test.PATIENCE)
        told = json.loads(out)
        self.assertEqual((process.returncode, told["interrupted"], told["faults"]["all"]), (130, True, 0), errors)
        self.assertGreater(told["requests"], 0)
        self.assertIn(b"interrupted", errors)

    def test_a_unix_socket_serves_too(self):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "door")
            with Server("--unix-socket", path):
                status, told = figures("--unix-socket", path, "--prefill", "--check", "--keys", 100, "--requests", 1000)
                self.assertEqual((status, told["hits"] > 0), (0, True))

    def test_a_server_that_goes_is_told(self):
        process = self.endless()
        self.wait_hits()
        self.server.stop()
        told = json.loads(process.communicate(timeout=strobe_test.PATIENCE)[0])
        self.assertEqual(process.returncode, 1)
        self.assertGreater(told["faults"]["lost_connections"], 0)
        self.assertGreater(told["requests"], 0)


# ---- servers that lie -----------------------------------------------------------------------------------------


def late(seconds, *numbers):
    """For Fake: every reply is OK; those to the requests of these NUMBERS (none given: each) come SECONDS late."""
    never = threading.Event()

    def answer(_, number):
        if not numbers or number in numbers:
            never.wait(seconds)
        return b"+OK\r\n"
    return answer


class Fake:
    """A server whose replies are ANSWER(words, number of the request)'s: bytes, or None to close."""

    def __init__(self, answer, http=False):
        fake = self
        self.count, self.lock, self.http = 0, threading.Lock(), http

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                try:
                    fake.serve(self.rfile, self.wfile, answer)
                except (OSError, ValueError):
                    pass  # the other side went first

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True
            request_queue_size = 128

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def serve(self, rfile, wfile, answer):
        while (words := self.read_http(rfile) if self.http else self.read_resp(rfile)) is not None:
            with self.lock:
                self.count += 1
                count = self.count
            said = answer(words, count)
            if said is None:
                return
            wfile.write(said)
            if said.endswith(b"(and closes)"):
                return

    @staticmethod
    def read_resp(rfile):
        head = rfile.readline()
        if not head:
            return None
        words = []
        for _ in range(int(head[1:])):
            length = int(rfile.readline()[1:])
            words.append(rfile.read(length + 2)[:-2])
        return words

    @staticmethod
    def read_http(rfile):
        line = rfile.readline()
        if not line:
            return None
        length = 0
        while (field := rfile.readline().strip()):
            if field.lower().startswith(b"content-length:"):
                length = int(field.split(b":")[1])
        return [*line.split()[:2], rfile.read(length)]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Liar:
    """Keeps what it is told, and answers with LIE(value, key, values, number of the request) in place of the value."""

    def __init__(self, lie, http=False):
        self.values, self.lie, self.http = {}, lie, http

    def __call__(self, words, count):
        verb, key = words[0].upper(), words[1]
        if verb in (b"SET", b"PUT"):
            self.values[key] = words[2]
            return b"HTTP/1.1 204 No Content\r\n\r\n" if self.http else b"+OK\r\n"
        return self.lie(self.values[key], key, self.values, count)


def bulk(value):
    return b"$%d\r\n%s\r\n" % (len(value), value)


def body(value, *fields):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(value) + b"".join(fields) + b"\r\n" + value


def another(values, value):
    return next(other for other in values.values() if other != value)


RESP_LIES = {
    "a changed byte": ("wrong_values", lambda v, k, all_, n: bulk(v[:20] + b"!" + v[21:])),
    "the value of another key": ("wrong_values", lambda v, k, all_, n: bulk(another(all_, v))),
    "a value cut short": ("wrong_values", lambda v, k, all_, n: bulk(v[:-1])),
    "a value too long": ("wrong_values", lambda v, k, all_, n: bulk(v + b"x")),
    "an empty value": ("wrong_values", lambda v, k, all_, n: bulk(b"") if n % 2 else bulk(v[:1])),
    "half of another value": ("wrong_values", lambda v, k, all_, n: bulk(v[:16] + another(all_, v)[16:])),
    "a key that vanished": ("missing_keys", lambda v, k, all_, n: b"$-1\r\n"),
    "an error": ("error_replies", lambda v, k, all_, n: b"-ERR no such luck\r\n"),
    "a number for a value": ("malformed_replies", lambda v, k, all_, n: b":1\r\n"),
    "a status for a value": ("malformed_replies", lambda v, k, all_, n: b"+OK\r\n"),
    "no reply at all": ("malformed_replies", lambda v, k, all_, n: b"what?\r\n"),
    "a length that is none": ("malformed_replies", lambda v, k, all_, n: b"$x\r\n"),
    "a value longer than its length": ("malformed_replies", lambda v, k, all_, n: b"$3\r\n" + v + b"\r\n"),
    "a reply more than was asked": ("malformed_replies", lambda v, k, all_, n: bulk(v) + bulk(v)),
    "half a reply and the end": ("lost_connections", lambda v, k, all_, n: b"$32\r\n" + v[:10] + b"(and closes)"),
    "the end": ("lost_connections", lambda v, k, all_, n: None),
}

HTTP_LIES = {
    "a changed byte": ("wrong_values", lambda v, k, all_, n: body(v[:20] + b"!" + v[21:])),
    "the value of another key": ("wrong_values", lambda v, k, all_, n: body(another(all_, v))),
    "a value in chunks": ("wrong_values", lambda v, k, all_, n:
                          b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n" + v + b"\r\n0\r\n\r\n"),
    "a key that vanished": ("missing_keys", lambda v, k, all_, n:
                            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "an error": ("error_replies", lambda v, k, all_, n: b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
    "no reply at all": ("malformed_replies", lambda v, k, all_, n: b"what?\r\n\r\n"),
    "no length": ("malformed_replies", lambda v, k, all_, n: b"HTTP/1.1 200 OK\r\n\r\n" + v),
    "a chunk that is none": ("malformed_replies", lambda v, k, all_, n:
                             b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "half a reply and the end": ("lost_connections", lambda v, k, all_, n: body(v)[:-5] + b"(and closes)"
                                 if n % 2 else body(v)[:20] + b"(and closes)"),
    "the end": ("lost_connections", lambda v, k, all_, n: None),
}


class Lies(unittest.TestCase):
    OPTIONS = ("--prefill", "--check", "--keys", 20, "--clients", 4, "--ratio", "1:0", "--requests", 40)

    def test_an_honest_server_is_believed(self):
        for door, reply in (("resp", bulk), ("http", body)):
            with Fake(Liar(lambda v, k, all_, n, reply=reply: reply(v), door == "http"), door == "http") as fake:
                status, told = figures("--door", door, "--port", fake.port, *self.OPTIONS)
                self.assertEqual((status, told["hits"]), (0, 40), told["faults"])

    def test_every_lie_is_noticed(self):
        for door, lies in (("resp", RESP_LIES), ("http", HTTP_LIES)):
            for name, (fault, lie) in lies.items():
                with self.subTest(door=door, lie=name), Fake(Liar(lie, door == "http"), door == "http") as fake:
                    status, told = figures("--door", door, "--port", fake.port, *self.OPTIONS)
                    self.assertEqual(status, 1, told)
                    self.assertGreater(told["faults"][fault], 0, told["faults"])
                    self.assertTrue(told["faults"]["first"])

    def test_one_lie_among_many_is_noticed(self):
        with Fake(Liar(lambda v, k, all_, n: bulk(v if n != 300 else v[:5] + b"!" + v[6:]))) as fake:
            status, told = figures("--port", fake.port, "--prefill", "--check", "--keys", 20, "--clients", 3,
                                   "--pipeline", 9, "--ratio", "1:0", "--requests", 600)
            self.assertEqual((status, told["faults"]["wrong_values"], told["faults"]["all"]), (1, 1, 1))
            self.assertRegex(told["faults"]["first"], r"^key number \d+ has a wrong value$")

    def test_a_refused_write_is_noticed(self):
        for door, said in (("resp", b"-OOM no\r\n"), ("resp", b":1\r\n"),
                           ("http", b"HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n")):
            with Fake(lambda words, n, said=said: said, door == "http") as fake:
                status, told = figures("--door", door, "--port", fake.port, "--ratio", "0:1", "--requests", 30)
                self.assertEqual((status, told["faults"]["all"]), (1, 30))

    def test_an_error_inside_of_an_array_is_noticed(self):
        with Fake(lambda words, n: b"*2\r\n*1\r\n:1\r\n*2\r\n-ERR inside\r\n+x\r\n") as fake:
            status, told = figures("--port", fake.port, "--command", "EVAL it", "--requests", 10, "--clients", 2)
            self.assertEqual((status, told["requests"], told["faults"]["error_replies"]), (1, 10, 10))

    def test_a_silent_server_is_noticed(self):
        with Fake(lambda words, n: b"") as fake:
            status, told = figures("--port", fake.port, "--clients", 3, "--requests", 30, "--timeout", "300ms")
            self.assertEqual((status, told["requests"]), (1, 0))
            self.assertEqual((told["faults"]["lost_connections"], told["faults"]["unanswered_requests"]), (3, 3))

    def test_an_announced_end_is_no_fault(self):
        """As nginx does after keepalive_requests: what was behind in the pipeline is asked again."""
        closing = b"Connection: close\r\n"
        with Fake(Liar(lambda v, k, all_, n: body(v, closing) + b"(and closes)" if n % 7 == 0 else body(v), True),
                  True) as fake:
            status, told = figures("--door", "http", "--port", fake.port, *self.OPTIONS, "--pipeline", 5)
            self.assertEqual((status, told["requests"], told["faults"]["all"]), (0, 40, 0), told["faults"])

    def test_values_in_chunks_are_read_when_they_need_not_be_right(self):
        def chunked(v, *_):
            return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10;x=y\r\n" + v[:16] + b"\r\n10\r\n" +
                    v[16:] + b"\r\n0\r\nTrailer: x\r\n\r\n")
        with Fake(Liar(chunked, True), True) as fake:
            status, told = figures("--door", "http", "--port", fake.port, "--prefill", "--keys", 20, "--ratio", "1:0",
                                   "--requests", 50, "--clients", 2)
            self.assertEqual((status, told["requests"]), (0, 50), told["faults"])

    def test_a_scan_that_is_not_whole_is_noticed(self):
        def lying(keys):
            def answer(words, n):
                if words[0] == b"SET":
                    return b"+OK\r\n"
                if words[0] == b"GET":
                    return b"$-1\r\n"
                return b"*2\r\n$1\r\n0\r\n*%d\r\n" % len(keys) + b"".join(map(bulk, keys))
            return answer
        names = [b"key:%012d" % i for i in range(10)]
        options = ("--prefill", "--keys", 10, "--seconds", "300ms", "--clients", 1, "--rate", 10, "--scan-beside")
        for keys, counts in ((names[1:], "missing"), (names + names[:1], "repeated")):
            with Fake(lying(keys)) as fake:
                told = figures("--port", fake.port, *options)[1]["scan"]
                self.assertGreater(told["scans"], 0)
                self.assertEqual((told["whole"], told[counts]), (0, told["scans"]))
        with Fake(lying(names[1:])) as fake:
            self.assertEqual(figures("--port", fake.port, *options)[0], 1)
        with Fake(lying(names + [b"foreign"])) as fake:
            self.assertEqual(figures("--port", fake.port, *options)[0], 0)

    def test_a_stream_without_its_last_line_is_noticed(self):
        line = b'{"key":"key:000000000000","value":"x","version":"1","ttl":null}\n'

        def answer(words, n):
            if words[1].endswith(b"?stream"):
                return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(line) + line +
                        b"\r\n0\r\n\r\n")
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        with Fake(answer, True) as fake:
            status, told = figures("--door", "http", "--port", fake.port, "--prefill", "--keys", 1, "--clients", 1,
                                   "--ratio", "0:1", "--rate", 10, "--seconds", "300ms", "--scan-beside")
            self.assertEqual((status, told["faults"]["scan_faults"], told["scan"]["scans"]), (1, 1, 0))
            self.assertIn("closing line", told["faults"]["first"])


class Others(unittest.TestCase):
    """Servers of others, where they are installed."""

    def start(self, command, port, place):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd=place)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        end = time.monotonic() + strobe_test.PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                self.assertLess(time.monotonic(), end, f"{command[0]} does not start")
                self.assertIsNone(process.poll(), f"{command[0]} ended at once")

    @unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
    def test_redis_server_is_loaded(self):
        with tempfile.TemporaryDirectory() as place:
            port = free_port()
            self.start(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", place],
                       port, place)
            status, told = figures("--port", port, "--prefill", "--check", "--keys", 1000, "--requests", 5000,
                                   "--pipeline", 8, "--size", "0-5000", "--scan-beside", 100)
            self.assertEqual((status, told["requests"]), (0, 5000), told["faults"])

    @unittest.skipUnless(shutil.which("memcached"), "memcached is not installed")
    def test_memcached_is_loaded(self):
        with tempfile.TemporaryDirectory() as place:
            port = free_port()
            user = ["-u", "nobody"] if os.geteuid() == 0 else []
            self.start(["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", *user], port, place)
            options = ("--door", "memcached", "--port", port, "--check", "--keys", 1000, "--requests", 5000)
            self.assertEqual(figures(*options, "--ratio", "1:0")[1]["misses"], 5000)
            status, told = figures(*options, "--prefill", "--pipeline", 8, "--size", "0-5000", "--ratio", "1:1")
            self.assertEqual((status, told["requests"], told["misses"]), (0, 5000, 0), told["faults"])
            self.assertEqual(figures(*options, "--size", "2mb", "--ratio", "0:1")[1]["faults"]["error_replies"], 5000)

    @unittest.skipUnless(os.path.exists("/usr/sbin/nginx"), "nginx is not installed")
    def test_nginx_is_loaded(self):
        with tempfile.TemporaryDirectory() as place:
            port = free_port()
            kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            places = " ".join(f"{kind}_temp_path {place}/{kind};" for kind in kinds)
            with open(os.path.join(place, "conf"), "w", encoding="ascii") as file:
                file.write(f"daemon off; master_process off; pid {place}/pid; error_log stderr; events {{}}\n"
                           f"http {{ access_log off; keepalive_requests 100; {places}\n"
                           f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 'hello'; }} }} }}\n")
            self.start(["/usr/sbin/nginx", "-p", place, "-c", os.path.join(place, "conf")], port, place)
            status, told = figures("--door", "http", "--port", port, "--ratio", "1:0", "--requests", 5000,
                                   "--clients", 7, "--pipeline", 3)
            self.assertEqual((status, told["hits"]), (0, 5000), told["faults"])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class CommandLine(unittest.TestCase):
    def test_a_bad_option_ends_it_with_two(self):
        status, out, errors = bench("--pipeline", "none")
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(errors, 'strobe-bench: --pipeline: expected a whole number from 1 to 10000, got "none"\n')

    def test_templates_that_cannot_be_are_refused(self):
        with Fake(lambda words, n: b"+OK\r\n") as fake:
            for template, words in (('GET "k', "its quotes closed"), ("SET k x__value__", "a word of its own")):
                status, _, errors = bench("--port", fake.port, "--command", template)
                self.assertEqual(status, 2)
                self.assertIn(words, errors)

    def test_what_a_door_cannot_send_is_refused(self):
        for options, words in ((("--door", "http", "--key-prefix", "a b"), "--key-prefix: expected characters"),
                               (("--door", "memcached", "--key-size", 251), "keys of at most 250 bytes"),
                               (("--door", "memcached", "--ttl", "721h"), "a --ttl of at most 30 days")):
            status, _, errors = bench("--port", free_port(), *options)
            self.assertEqual(status, 2)
            self.assertIn(words, errors)

    def test_nobody_there_is_a_clear_error(self):
        status, _, errors = bench("--port", free_port())
        self.assertEqual(status, 1)
        self.assertRegex(errors, r"^strobe-bench: cannot connect to 127\.0\.0\.1 port \d+: Connection refused\n$")
        status, _, errors = bench("--unix-socket", "/nonexistent/socket")
        self.assertEqual((status, "No such file" in errors), (1, True))

    def test_version_and_help(self):
        self.assertRegex(bench("--version")[1], r"^strobe-bench \d+\.\d+\.\d+\n$")
        status, out, _ = bench("--help")
        self.assertEqual((status, "--pipeline N" in out), (0, True))


if __name__ == "__main__":
    unittest.main()
