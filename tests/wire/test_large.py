#!/usr/bin/env python3
"""test_large.py - large values: however they come, are changed and go, they are what they would be if they were small.

The sizes lie around the thresholds: 16 KiB (a blob in the map), 64 KiB (a word that is received into its blob), 256 KiB
(a body that is), 1 MiB (a change made in slices), 8 MiB (freed on another thread)."""
import re
import threading
import unittest

from strobe_test import ReplyError, Server, request

DEBUG = ("--log-level", "debug")
KIB = 1 << 10
MIB = 1 << 20
SIZES = sorted(base + off for base in (16 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, MIB) for off in (-1, 0, 1)) + [9 * MIB]


def closed(reason):
    return rf"-> CLOSED \({reason}\)"


def bytes_of(size, seed=0):
    """SIZE bytes that are no other piece of themselves."""
    return b"".join((seed * 1000003 + i).to_bytes(8, "big") for i in range(size // 8 + 1))[:size]


def cuts(data, inside):
    """Where DATA is cut: in its head, around its end, and at INSIDE."""
    near = [1, 4, 5, 9, 13, 14, 20, 21, 30, 31]
    ends = [len(data) - i for i in (1, 2, 3, 4, 20, 60)]
    return sorted({cut for cut in near + ends + inside if 0 < cut < len(data)})


class Words(unittest.TestCase):
    """Large words of requests."""

    def test_every_command_takes_a_large_value_as_it_takes_a_small_one(self):
        with Server() as server, server.client() as client:
            for size in SIZES:
                big, other = bytes_of(size), bytes_of(size, 7)
                dialogue = [
                    (("SET", "a", big), b"OK"), (("GET", "a"), big),
                    (("SETEX", "b", 1000, big), b"OK"), (("GET", "b"), big),
                    (("PSETEX", "c", 1000000, big), b"OK"), (("GET", "c"), big),
                    (("GETSET", "a", other), big), (("GET", "a"), other),
                    (("SETNX", "a", big), 0), (("GET", "a"), other), (("SETNX", "n", big), 1), (("GET", "n"), big),
                    (("SET", "a", big, "XX", "GET"), other), (("SET", "a", other, "NX"), None),
                    (("MSET", "a", other, "s", "small", "b", big), b"OK"), (("MGET", "a", "s", "b"),
                                                                           [other, b"small", big]),
                    (("MSETNX", "x", big, "y", other), 1), (("MGET", "x", "y"), [big, other]),
                    (("MSETNX", "z", big, "y", big), 0), (("MGET", "z", "y"), [None, other]),
                    (("APPEND", "a", big), 2 * size), (("GET", "a"), other + big),
                    (("APPEND", "new", big), size), (("GET", "new"), big),
                    (("SETRANGE", "b", 10, other), size + 10), (("GET", "b"), big[:10] + other),
                    (("ECHO", big), big), (("PING", big), big), (("STRLEN", "a"), 2 * size),
                    (("DEL", "a", "b", "c", "n", "x", "y", "new"), 7), (("DBSIZE",), 1), (("FLUSHALL",), b"OK"),
                ]
                for words, expected in dialogue:
                    self.assertEqual(client.ask(*words), expected, f"{words[0]} of {size} bytes")

    def test_a_large_word_where_none_belongs_is_an_error_and_no_more(self):
        big = bytes_of(100000)
        errors = {("GET", big, big): "wrong number", (big,): "unknown command", ("SET", big, "v"): "invalid key length",
                  ("SET", "k", "v", big): "syntax error", ("SETEX", "k", big, "v"): "not an integer",
                  ("INCRBY", "k", big): "not an integer", ("CLIENT", big): "unknown subcommand"}
        with Server() as server, server.client() as client:
            for words, text in errors.items():
                with self.assertRaisesRegex(ReplyError, text):
                    client.ask(*words)
                self.assertEqual(client.ask("PING"), b"PONG")
            self.assertIsNone(client.ask("GET", big))
            self.assertEqual(client.ask("EXISTS", big, "k"), 0)

    def test_values_survive_every_cut_between_other_requests(self):
        with Server() as server:
            for size in (64 * KIB, 64 * KIB + 1, 200000):
                first, second = bytes_of(size), bytes_of(size + 5, 3)
                before = request("SET", "p", 1) + request("INCR", "p")
                large = request("MSET", "a", first, "small", "s", "b", second)
                data = before + large + request("MGET", "a", "small", "b") + request("INCR", "p")
                expected = (b"+OK\r\n:2\r\n+OK\r\n*3\r\n$%d\r\n%s\r\n$1\r\ns\r\n$%d\r\n%s\r\n:3\r\n"
                            % (len(first), first, len(second), second))
                at = len(before) + large.index(first)
                between = len(before) + large.index(b"$5\r\nsmall")
                inside = [at - 1, at, at + 1, at + 16 * KIB, at + size - 1, at + size, at + size + 1, at + size + 2,
                          between, between + 3, between + 20, between + 25, between + 40, between + 1000]
                for cut in cuts(data, inside):
                    with server.client() as client:
                        client.send(data[:cut])
                        server.resp("PING")
                        client.send(data[cut:])
                        client.end()
                        self.assertEqual(client.rest(), expected, f"{size} bytes, cut at {cut}")

    def test_pieces_of_any_length_make_the_same_value(self):
        value = bytes_of(300000)
        data = request("SET", "k", value)
        with Server() as server, server.client() as client:
            for piece in (999, 4096, 65535, 65536, 65537, 150000):
                for at in range(0, len(data), piece):
                    client.send(data[at:at + piece])
                self.assertEqual(client.reply(), b"OK")
                self.assertEqual(client.ask("GETDEL", "k"), value, f"in pieces of {piece}")

    def test_pipelines_of_large_values_keep_their_order(self):
        values = [bytes_of(size, size) for size in (70000, 10, 65536, 500000, 100, 65535, 3 * MIB, 0, 131072)]
        data = b"".join(request("SET", "k", value) + request("GET", "k") for value in values) * 3
        expected = b"".join(b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value) for value in values) * 3
        with Server("--threads", "1") as server, server.client() as client:
            sender = threading.Thread(target=lambda: (client.send(data), client.end()))
            sender.start()
            self.assertEqual(client.rest(), expected)
            sender.join()

    def test_a_large_value_may_follow_a_command_that_pauses(self):
        """What was taken of a request ahead of its turn is given back, and comes again."""
        value = bytes_of(200000)
        with Server("--threads", "1") as server, server.client() as client:
            for i in range(2000):
                client.send(request("SET", f"key{i}", "v" * 50))
            self.assertEqual([client.reply() for _ in range(2000)], [b"OK"] * 2000)
            client.send((request("KEYS", "*") + request("SET", "k", value) + request("MGET", *["key1"] * 2000)
                         + request("GET", "k") + request("DEL", "k")) * 5)
            for _ in range(5):
                self.assertEqual(len(client.reply()), 2000)
                self.assertEqual(client.reply(), b"OK")
                self.assertEqual(client.reply(), [b"v" * 50] * 2000)
                self.assertEqual(client.reply(), value)
                self.assertEqual(client.reply(), 1)

    def test_exec_has_large_values_that_were_queued(self):
        first, second = bytes_of(64 * KIB), bytes_of(9 * MIB, 5)
        with Server() as server, server.client() as client:
            client.send(request("MULTI") + request("SET", "a", first) + request("MSET", "b", second, "c", first)
                        + request("APPEND", "a", second) + request("SETRANGE", "b", 3, first)
                        + request("GETSET", "c", second) + request("EXEC") + request("MGET", "a", "b", "c"))
            self.assertEqual([client.reply() for _ in range(6)], [b"OK"] + [b"QUEUED"] * 5)
            self.assertEqual(client.reply(), [b"OK", b"OK", len(first) + len(second), len(second), first])
            self.assertEqual(client.reply(), [first + second, second[:3] + first + second[3 + len(first):], second])
            client.send(request("MULTI") + request("SET", "a", second) + request("DISCARD") + request("STRLEN", "a"))
            self.assertEqual([client.reply() for _ in range(4)], [b"OK", b"QUEUED", b"OK", len(first) + len(second)])

    def test_max_value_and_max_request_hold(self):
        most = 100000
        with Server("--max-value", most, "--max-request", 3 * most, *DEBUG) as server:
            value = bytes_of(most)
            self.assertEqual(server.resp("SET", "k", value), b"OK")
            self.assertEqual(server.resp("MSET", "a", value, "b", value), b"OK")
            with server.client() as client:
                client.send(request("SET", "k2", b"x" * 70000) + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (most + 1))
                self.assertEqual(client.rest(), b"+OK\r\n-ERR Protocol error: invalid bulk length\r\n")
            with server.client() as client:
                client.send(request("MSET", "a", b"x" * most, "b", b"x" * most, "c", b"x" * most))
                self.assertEqual(client.rest(), b"-ERR Protocol error: request larger than max-request\r\n")
            self.assertEqual(server.resp("MGET", "k", "a", "b", "c"), [value, value, value, None])
            with self.assertRaisesRegex(ReplyError, "exceeds maximum"):
                server.resp("APPEND", "k", b"x" * 70000)
            with self.assertRaisesRegex(ReplyError, "exceeds maximum"):
                server.resp("SETRANGE", "k", 50000, b"x" * 70000)
            self.assertEqual(server.resp("GET", "k"), value)

    def test_a_word_that_is_longer_than_its_length_is_refused(self):
        with Server(*DEBUG) as server:
            for extra in (b"x\r\n", b"\n\r", b"\rx"):
                with server.client() as client:
                    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$70000\r\n" + b"x" * 50000)
                    server.resp("PING")
                    client.send(b"x" * 20000 + extra)
                    self.assertEqual(client.rest(),
                                     b"-ERR Protocol error: expected CRLF after a bulk of its length\r\n")
            self.assertEqual(server.resp("EXISTS", "k"), 0)

    def test_peers_that_leave_half_way_leave_nothing(self):
        half = request("SET", "k", bytes_of(5 * MIB))[:3 * MIB]
        several = request("MSET", "a", bytes_of(100000), "b", bytes_of(100000), "c", bytes_of(100000))[:250000]
        with Server("--threads", "1", *DEBUG) as server:
            for data in (half, several, request("MULTI") + several, request("PING") + half):
                with server.client() as client:
                    client.send(data)
                    server.resp("PING")
            server.wait_log(closed("eof|reset"), count=4)
            memory = int(re.search(rb"mem_clients_normal:(\d+)", server.resp("INFO", "memory"))[1])
            self.assertLess(memory, MIB)
            self.assertEqual(server.resp("DBSIZE"), 0)

    def test_half_a_value_times_out(self):
        with Server("--request-timeout", "200ms", *DEBUG) as server, server.client() as client:
            client.send(request("PING") + request("SET", "k", bytes_of(200000))[:150000])
            self.assertEqual(client.rest(), b"+PONG\r\n-ERR request timed out: its rest did not come within "
                                            b"request-timeout\r\n")
            server.wait_log(closed("request-timeout"))

    def test_values_on_their_way_count_for_max_buffers(self):
        with Server("--max-buffers", "16mb", "--threads", "1", *DEBUG) as server:
            with server.client() as small, server.client() as large:
                value = bytes_of(200000)
                data = request("SET", "small", value)
                small.send(data[:100000])
                server.resp("PING")
                try:
                    large.send(request("SET", "large", bytes(100 * MIB)))
                except OSError:
                    pass  # closed meanwhile
                server.wait_log(closed("buffer-limit"))
                small.send(data[100000:])
                self.assertEqual(small.reply(), b"OK")
                self.assertEqual(server.resp("GET", "small"), value)
                self.assertEqual(server.resp("EXISTS", "large"), 0)


if __name__ == "__main__":
    unittest.main()
