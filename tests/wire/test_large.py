#!/usr/bin/env python3
"""test_large.py - large values: however they come, are changed and go, they are what they would be if they were small.

The sizes lie around the thresholds: 16 KiB (a blob in the map), 64 KiB (a word that is received into its blob, and one
read), 128 KiB (room in steps), 256 KiB (a body that is received into its blob), 1 MiB (a change made in slices), 4 MiB
(a word read in small pieces), 8 MiB (freed on another thread)."""
import contextlib
import os
import re
import socket
import threading
import unittest

import http_client
from http_client import HOST
from strobe_test import ReplyError, Server, request

DEBUG = ("--log-level", "debug")
KIB = 1 << 10
MIB = 1 << 20
EDGES = (16 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, MIB)
SIZES = sorted(base + off for base in EDGES for off in (-1, 0, 1)) + [4 * MIB, 4 * MIB + 1, 9 * MIB]


# The address sanitizer keeps what is freed for a while, unless it is told not to.
AT_ONCE = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0"}


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

    def test_the_end_of_a_word_may_come_a_byte_at_a_time(self):
        """Bytes are read into their place; those behind a word are not lost."""
        with Server("--threads", "1") as server:
            for size in (80 * KIB - 40, 80 * KIB, 128 * KIB, 300000):
                first, second = bytes_of(size), bytes_of(size + 1, 3)
                data = request("MULTI") + request("MSET", "a", first, "b", second) + request("GET", "b")
                data += request("EXEC") + b"PING\r\n" + request("SET", "c", first) + request("STRLEN", "c")
                expected = (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$%d\r\n%s\r\n+PONG\r\n+OK\r\n:%d\r\n"
                            % (len(second), second, size))
                ends = [data.index(first) + size, data.index(second) + size + 1, data.rindex(first) + size]
                for pieces in (range(-3, 6), (-1, 1), (-20000, 3), (1,), (2,), (3,), (4,), (20,)):
                    with server.client() as client:
                        at = 0
                        for cut in sorted(end + off for end in ends for off in pieces):
                            client.send(data[at:cut])
                            server.resp("PING")
                            at = cut
                        client.send(data[at:])
                        client.end()
                        self.assertEqual(client.rest(), expected, f"{size} bytes, cut at {pieces} from the ends")

    def test_what_follows_a_word_that_nobody_keeps_is_read_as_it_was_sent(self):
        """It was read into the word's blob with it once, which is freed as soon as the command is done. 98272 bytes and
        a header are a size class of jemalloc, whose end was given back; from 8 MiB on another thread frees it."""
        after = request("ECHO", "x") + b"PING\r\n"
        with Server() as server:
            server.resp("SET", "k", 1)
            for size in (98272, 131032, 300000, 9 * MIB):
                word = bytes_of(size)
                for words, reply in ((("DEL", word), b":0\r\n"),
                                     (("SETNX", "k", word), b":0\r\n"),
                                     (("ECHO", word), b"$%d\r\n%s\r\n" % (size, word)),
                                     (("SET", "v", word), b"+OK\r\n"),
                                     (("NOSUCH", word), b"-ERR unknown command 'NOSUCH'")):
                    data = request(*words)
                    for cut in (len(data) - size // 3, len(data)) if size < MIB else (len(data) - 3,):
                        with server.client() as client:
                            client.send(data[:cut])
                            server.resp("PING")
                            client.send(data[cut:] + after)
                            client.end()
                            told = client.rest()
                        where = f"{words[0]} of {size} bytes, cut at {cut}"
                        self.assertTrue(told.startswith(reply), where)
                        self.assertTrue(told.endswith(b"\r\n$1\r\nx\r\n+PONG\r\n"), where)

    def test_values_in_a_row_are_right_whatever_follows(self):
        """Behind a large value a smaller piece is read first: another large one, small requests, or both."""
        value = bytes_of(150000)
        large, small = request("SET", "k", value), request("INCR", "n")
        rows = [[large, large, large], [large, small * 2000, large], [large + small * 600, small * 1500 + large, large],
                [large, request("SET", "s", value[:16 * KIB - 40]), request("SET", "s", value[:16 * KIB]), large]]
        with Server("--threads", "1") as server, server.client() as client:
            for row in rows:
                client.ask("SET", "n", 0)
                for data in row:
                    client.send(data)
                    server.resp("PING")
                expected, n = [], 0
                for data in row:
                    for part in re.findall(rb"INCR|SET", data):
                        n += part == b"INCR"
                        expected.append(n if part == b"INCR" else b"OK")
                self.assertEqual([client.reply() for _ in expected], expected)
                self.assertEqual(client.ask("GET", "k"), value)

    def test_every_byte_in_is_counted_once(self):
        data = request("SET", "k", bytes_of(3 * MIB)) + request("SET", "k", bytes_of(100000))
        with Server("--threads", "1") as server, server.client() as client:
            def received():
                return int(re.search(rb"total_net_input_bytes:(\d+)", server.resp("INFO", "stats"))[1])
            first = received()
            one = received() - first  # what asking costs
            for piece in (50000, 1000000, len(data)):
                before = received()
                for at in range(0, len(data), piece):
                    client.send(data[at:at + piece])
                self.assertEqual([client.reply(), client.reply()], [b"OK", b"OK"])
                self.assertEqual(received() - before, len(data) + one)

    def test_a_monitor_sees_a_value_that_came_in_pieces(self):
        value = b"v" * 300000
        with Server("--threads", "1") as server, server.client() as client, server.client() as monitor:
            self.assertEqual(monitor.ask("MONITOR"), b"OK")
            data = request("SET", "k", value)
            client.send(data[:100000])
            with server.client() as other:
                other.ask("ECHO", "between")
            client.send(data[100000:])
            self.assertEqual(client.reply(), b"OK")
            seen = [monitor.line(), monitor.line()]
            self.assertIn(b'"ECHO" "between"', seen[0])
            self.assertIn(b'"SET" "k" "', seen[1])
            self.assertIn(value[:1000], seen[1])

    def test_a_client_that_is_killed_half_way_leaves_nothing(self):
        data = request("SET", "k", bytes_of(5 * MIB))
        with Server("--threads", "1", *DEBUG) as server, server.client() as client:
            name = client.ask("CLIENT", "ID")
            for part in (data[:100000], data[100000:300000]):
                client.send(part)
                server.resp("PING")
            self.assertEqual(server.resp("CLIENT", "KILL", "ID", name), 1)
            server.wait_log(closed("killed"))
            self.assertEqual(server.resp("DBSIZE"), 0)

    def test_a_length_that_is_only_announced_makes_no_room(self):
        """Neither accounted nor resident memory grows by what some hundred clients say that they will send."""
        sent = 100000
        data = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (64 * MIB) + bytes(sent)
        with Server("--threads", "1") as server:
            def accounted():
                return int(re.search(rb"mem_clients_normal:(\d+)", server.resp("INFO", "memory"))[1])
            before = accounted(), resident(server, "VmRSS")
            clients = [server.client() for _ in range(100)]
            for client in clients:
                client.send(data)
            for client in clients:  # a part of what was sent to it may be still to be read
                client.send(bytes(1))
                server.resp("PING")
            self.assertLess(accounted() - before[0], 100 * 3 * sent)
            # The thread sanitizer keeps some bytes for each of ours. Said were six hundred times as many.
            self.assertLess(resident(server, "VmRSS") - before[1], 100 * 20 * sent)
            for client in clients:
                client.close()

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

    def test_a_pause_holds_a_write_of_which_a_part_has_come(self):
        value, data = bytes_of(200000), request("SET", "k", bytes_of(200000)) + request("STRLEN", "k")
        with Server("--threads", "1") as server, server.client() as client:
            for part in (100000, 199999, 200029, 200030):
                client.send(data[:part])
                server.resp("CLIENT", "PAUSE", 60000, "WRITE")
                client.send(data[part:])
                for _ in range(3):  # whatever was sent was read before the reply to these, had it not to wait
                    self.assertEqual(server.resp("EXISTS", "k"), 0)
                with server.client() as other:
                    self.assertEqual(other.ask("ECHO", value), value)
                server.resp("CLIENT", "UNPAUSE")
                self.assertEqual([client.reply(), client.reply()], [b"OK", len(value)])
                self.assertEqual(server.resp("GETDEL", "k"), value)

    def test_a_pause_keeps_little_of_a_large_word(self):
        """What comes during it would have to lie in the input, beside the room of the word, so little is read."""
        value = bytes_of(4 * MIB)
        data = request("SET", "k", value)
        with Server("--threads", "1") as server, server.client() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(data))
            for _ in range(10):
                client.send(data[:2500000])
                server.resp("CLIENT", "PAUSE", 60000, "WRITE")
                sender = threading.Thread(target=client.send, args=(data[2500000:],))
                sender.start()
                self.assertEqual(server.resp("EXISTS", "k"), 0)
                kept = [int(n) for n in re.findall(rb" qbuf=(\d+)", server.resp("CLIENT", "LIST"))]
                self.assertLessEqual(max(kept), 2 * 64 * KIB)
                server.resp("CLIENT", "UNPAUSE")
                self.assertEqual(client.reply(), b"OK")
                sender.join()
                self.assertEqual(server.resp("GETDEL", "k"), value)

    def test_a_pause_of_another_loop_may_keep_what_a_raised_max_request_allows(self):
        """One that begins while a word is read has all of that read kept, which may be more than was allowed when the
        connection began."""
        data = request("SET", "k", bytes_of(4 * MIB))
        done = threading.Event()

        def toggle(control):
            while not done.is_set():
                control.ask("CLIENT", "PAUSE", 20, "WRITE")
                control.ask("CLIENT", "UNPAUSE")

        with Server("--threads", "2", "--max-request", 100000, "--max-value", 90000) as server, \
                contextlib.ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(8)]
            controls = [stack.enter_context(server.client()) for _ in range(2)]
            for client in clients:
                self.assertEqual(client.ask("PING"), b"PONG")
            server.resp("CONFIG", "SET", "max-request", 100000000, "max-value", 50000000)
            togglers = [threading.Thread(target=toggle, args=(control,)) for control in controls]
            for toggler in togglers:
                toggler.start()
            try:
                for client in clients * 3:
                    client.send(data[:2500000])
                    client.send(data[2500000:])
                    self.assertEqual(client.reply(), b"OK")
            finally:
                done.set()
                for toggler in togglers:
                    toggler.join()

    def test_a_pause_holds_a_large_change_that_is_being_made(self):
        with Server("--threads", "1") as server, server.client() as client, server.client() as control:
            server.resp("SET", "k", bytes_of(60 * MIB))
            control.ask("PING")
            client.send(request("SETRANGE", "k", 0, "changed!"))
            self.assertEqual(control.ask("CLIENT", "PAUSE", 60000, "WRITE"), b"OK")
            before = control.ask("GETVER", "k")[1]
            for _ in range(1000):  # each is a turn of the loop, and gives the change one
                control.ask("PING")
            self.assertEqual(control.ask("GETVER", "k")[1], before)
            control.ask("CLIENT", "UNPAUSE")
            self.assertEqual(client.reply(), 60 * MIB)
            self.assertEqual(control.ask("GETRANGE", "k", 0, 7), b"changed!")

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

    def test_client_list_says_who_holds_large_values(self):
        """Those on their way, and those that wait for EXEC, since MEMORY DOCTOR sends there whoever looks for them."""
        value = bytes_of(3 * MIB)
        data = request("SET", "k", value)
        with Server("--threads", "1") as server, server.client() as client:
            def held():
                line = server.resp("CLIENT", "LIST", "ID", number)
                return int(re.search(rb" tot-mem=(\d+)", line)[1])
            number = client.ask("CLIENT", "ID")
            self.assertLess(held(), 64 * KIB)
            client.send(data[:-1000])
            while held() < len(value) // 2:  # a part of what was sent may be still to be read
                pass
            self.assertLess(held(), 2 * len(data))
            client.send(data[-1000:])
            self.assertEqual(client.reply(), b"OK")
            self.assertEqual(client.ask("MULTI"), b"OK")
            self.assertLess(held(), 64 * KIB)
            client.send(data)
            self.assertEqual(client.reply(), b"QUEUED")
            self.assertGreaterEqual(held(), len(value))
            self.assertEqual(client.ask("DISCARD"), b"OK")
            self.assertEqual(client.ask("PING"), b"PONG")
            self.assertLess(held(), 64 * KIB)

    def test_no_word_is_there_twice(self):
        """A value of 200 MB takes half as much again for a moment, not as much again for good."""
        with Server("--threads", "1", env=AT_ONCE) as server:
            self.assertEqual(server.resp("SET", "k", bytes(1)), b"OK")
            value = bytes_of(200 * MIB)
            before = resident(server, "VmHWM")
            self.assertEqual(server.resp("SET", "k", value), b"OK")
            # The thread sanitizer keeps some bytes for each of ours: what is held now is what one value takes.
            one = max(len(value), resident(server, "VmRSS") - before)
            self.assertLess(resident(server, "VmHWM") - before, 1.7 * one)
            self.assertEqual(server.resp("STRLEN", "k"), len(value))


def resident(server, name):
    """Bytes that are resident (VmRSS), or the most that were (VmHWM)."""
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        return int(re.search(rf"{name}:\s+(\d+) kB", status.read())[1]) * KIB


class Changes(unittest.TestCase):
    """APPEND, SETRANGE and PATCH of large values."""

    def test_changes_are_what_they_would_be_of_a_small_value(self):
        with Server() as server, server.client() as client:
            for size in SIZES:
                model = bytearray(bytes_of(size))
                client.ask("SET", "k", bytes(model))
                steps = [("APPEND", b"x"), ("APPEND", bytes_of(70000, 1)), ("SETRANGE", 0, b"first"),
                         ("SETRANGE", size // 2, bytes_of(1000, 2)), ("SETRANGE", size + 70000, b"over the end"),
                         ("SETRANGE", size + 200000, b"behind the end"), ("APPEND", b""),
                         ("APPEND", bytes_of(2 * MIB, 3)), ("SETRANGE", size + 5 * MIB, b"far behind the end"),
                         ("SETRANGE", 10, bytes_of(3 * MIB, 4)), ("APPEND", b"end")]
                for name, *words in steps:
                    at, piece = words if name == "SETRANGE" else (len(model), words[0])
                    if len(model) < at:
                        model += bytes(at - len(model))
                    model[at:at + len(piece)] = piece
                    self.assertEqual(client.ask(name, "k", *words), len(model), f"{name} of {size} bytes")
                    self.assertEqual(client.ask("GET", "k"), model, f"{name} {words[0]!r:.40} of {size} bytes")

    def test_changes_keep_expiry_and_type(self):
        with Server() as server, http_client.Client(server.http_port) as client:
            client.send(http_client.put(b"/kv/k?ttl=1000", bytes_of(2 * MIB), b"Content-Type: image/png"))
            self.assertEqual(client.reply().status, 201)
            self.assertEqual(server.resp("APPEND", "k", "x"), 2 * MIB + 1)
            self.assertEqual(server.resp("SETRANGE", "k", 3, "x"), 2 * MIB + 1)
            self.assertGreater(server.resp("TTL", "k"), 900)
            client.send(http_client.get(b"/kv/k"))
            self.assertEqual(client.reply().headers["content-type"], "image/png")

    def test_requests_behind_a_long_change_come_after_it(self):
        value = bytes_of(20 * MIB)
        with Server("--threads", "1") as server, server.client() as client:
            client.ask("SET", "k", value)
            client.send(request("SETRANGE", "k", 0, "X") + request("STRLEN", "k") + request("GETRANGE", "k", 0, 2)
                        + request("APPEND", "k", "Y") + request("GETRANGE", "k", -1, -1) + request("APPEND", "k", "Z")
                        + request("GETRANGE", "k", -2, -1))
            self.assertEqual([client.reply() for _ in range(7)],
                             [len(value), len(value), b"X" + value[1:3], len(value) + 1, b"Y", len(value) + 2, b"YZ"])

    def test_a_client_that_leaves_in_a_long_change_leaves_no_half_of_it(self):
        value = bytes_of(20 * MIB)
        with Server("--threads", "1", *DEBUG) as server:
            server.resp("SET", "k", value)
            for _ in range(5):
                with server.client() as client:
                    client.send(request("SETRANGE", "k", 0, "changed"))
            server.wait_log(closed("eof|reset"), count=5)
            self.assertIn(server.resp("GETRANGE", "k", 0, 6), (value[:7], b"changed"))
            self.assertEqual(server.resp("GETRANGE", "k", 7, -1), value[7:])

    def test_many_append_to_one_large_value_and_nothing_is_lost(self):
        clients, rounds = 4, 12
        pieces = {(c, r): bytes([65 + c, 97 + r]) * (KIB << (r % 12)) for c in range(clients) for r in range(rounds)}

        def append(server, c, errors):
            try:
                with server.client() as client, http_client.Client(server.http_port) as http:
                    for r in range(rounds):
                        if c % 2:
                            client.ask("APPEND", "k", pieces[c, r])
                        else:
                            http.send(http_client.put(b"/kv/k?append", pieces[c, r], method=b"PATCH"))
                            reply = http.reply()
                            if reply.status != 200:
                                raise AssertionError(reply)
                        client.ask("EXPIRE", "k", 1000 + r)
            except BaseException as error:
                errors.append(error)
        errors = []
        with Server("--threads", "2") as server:
            start = bytes(2 * MIB)
            server.resp("SET", "k", start)
            crowd = [threading.Thread(target=append, args=(server, c, errors)) for c in range(clients)]
            for thread in crowd:
                thread.start()
            for thread in crowd:
                thread.join()
            self.assertEqual(errors, [])
            value, turn = server.resp("GET", "k"), [0] * clients
            self.assertEqual(len(value), len(start) + sum(map(len, pieces.values())))
            at = len(start)
            while at < len(value):
                c = value[at] - 65
                piece = pieces[c, turn[c]]
                self.assertEqual(value[at:at + len(piece)], piece)
                at += len(piece)
                turn[c] += 1
            self.assertEqual(turn, [rounds] * clients)

    def test_readers_see_one_state_or_the_other_of_a_value_that_changes(self):
        size, rounds = 3 * MIB, 20
        with Server("--threads", "2") as server, server.client() as writer, server.client() as reader:
            writer.ask("SET", "k", bytes(size))
            over = threading.Event()

            def change():
                for r in range(1, rounds + 1):
                    writer.ask("MULTI")
                    writer.ask("SETRANGE", "k", 0, bytes([r]) * 8)
                    writer.ask("APPEND", "k", bytes([r]) * 8)
                    writer.ask("EXEC")
                    writer.ask("SETRANGE", "k", 16, bytes([r]) * 8)
                over.set()
            thread = threading.Thread(target=change)
            thread.start()
            while not over.is_set():
                value = reader.ask("GET", "k")
                r = value[0]
                self.assertEqual(len(value), size + 8 * r)
                self.assertEqual(value[:8] + value[8 * r + size - 8:], bytes([r]) * 16 if r else bytes(16))
                self.assertIn(value[16:24], (bytes([r]) * 8, bytes([max(r - 1, 0)]) * 8))
                cursor, (_, scanned) = reader.ask("SCAN", 0, "WITHVALUES")
                self.assertEqual(cursor, b"0")
                self.assertEqual(scanned[:8], bytes([scanned[0]]) * 8)
                self.assertEqual(len(scanned), size + 8 * scanned[0])
            thread.join()

    def test_patch_appends_to_large_values_under_conditions(self):
        value = bytes_of(9 * MIB)
        with Server("--threads", "1", "--max-value", 10 * MIB) as server:
            with http_client.Client(server.http_port) as client:
                def patch(body, *lines):
                    client.send(http_client.put(b"/kv/k?append", body, *lines, method=b"PATCH"))
                    return client.reply()
                client.send(http_client.put(b"/kv/k", value))
                etag = client.reply().headers["etag"].encode()
                self.assertEqual(patch(b"x", b'If-Match: "1"').status, 412)
                reply = patch(b"x", b"If-Match: " + etag)
                self.assertEqual((reply.status, reply.body), (200, b"%d" % (len(value) + 1)))
                self.assertEqual(patch(b"x", b"If-Match: " + etag).status, 412)
                self.assertEqual(patch(bytes(2 * MIB)).status, 413)
                reply = patch(bytes_of(500000, 1), b"If-Match: " + reply.headers["etag"].encode())
                self.assertEqual(reply.body, b"%d" % (len(value) + 500001))
                self.assertEqual(server.resp("GET", "k"), value + b"x" + bytes_of(500000, 1))
                self.assertEqual(patch(b"y", b"Connection: close").status, 200)
                self.assertEqual(client.rest(), b"")


def chunked(path, body, sizes, *lines, method=b"PUT"):
    """A request whose body comes in chunks of SIZES, again and again."""
    parts = [method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines)
             + b"Transfer-Encoding: chunked\r\n\r\n"]
    at = turn = 0
    while at < len(body):
        piece = body[at:at + sizes[turn % len(sizes)]]
        parts.append(b"%x\r\n%s\r\n" % (len(piece), piece))
        at += len(piece)
        turn += 1
    return b"".join(parts) + b"0\r\n\r\n"


class Bodies(unittest.TestCase):
    """Bodies whose length is not announced."""

    def test_chunked_values_are_whole_whatever_their_length(self):
        sizes = SIZES + [512 * KIB + off for off in (-1, 0, 1)] + [600001, 2 * MIB + 1, 4 * MIB + 1]
        with Server() as server, http_client.Client(server.http_port) as client:
            for size in sizes:
                value = bytes_of(size)
                for chunks in ([1 << 16], [100, 70000, 1], [size]):
                    client.send(chunked(b"/kv/k", value, chunks) + http_client.get(b"/kv/k"))
                    self.assertIn(client.reply().status, (201, 204))
                    reply = client.reply()
                    self.assertEqual((reply.status, reply.body == value), (200, True), f"{size} bytes in {chunks[:3]}")
                self.assertEqual(server.resp("APPEND", "k", b"more"), size + 4)
                self.assertEqual(server.resp("GETDEL", "k"), value + b"more")

    def test_chunked_values_survive_every_cut(self):
        value = bytes_of(400000)
        data = chunked(b"/kv/k", value, [300000, 70000]) + http_client.get(b"/kv/k")
        border = data.index(value[299990:300000]) + 10
        with Server() as server:
            for cut in cuts(data, [100, 200, 262144, 262300, border - 1, border, border + 1, border + 3, border + 9]):
                with http_client.Client(server.http_port) as client:
                    client.send(data[:cut])
                    server.resp("PING")
                    client.send(data[cut:])
                    self.assertIn(client.reply().status, (201, 204))
                    self.assertEqual(client.reply().body, value, f"cut at {cut}")

    def test_chunked_bodies_over_max_value_are_refused(self):
        most = 700000
        with Server("--max-value", most) as server:
            for size, statuses in ((most, (201, 204)), (most + 1, (413,)), (3 * most, (413,))):
                with http_client.Client(server.http_port) as client:
                    client.send(chunked(b"/kv/k", bytes(size), [65536]))
                    self.assertIn(client.reply().status, statuses)
            self.assertEqual(server.resp("STRLEN", "k"), most)

    def test_clients_that_leave_half_way_leave_nothing(self):
        data = chunked(b"/kv/k", bytes_of(5 * MIB), [65536])
        with Server("--threads", "1", *DEBUG) as server:
            for part in (1000, 200000, 300000, 3 * MIB):
                with http_client.Client(server.http_port) as client:
                    client.send(data[:part])
                    server.resp("PING")
            server.wait_log(closed("eof|reset"), count=4)
            memory = int(re.search(rb"mem_clients_normal:(\d+)", server.resp("INFO", "memory"))[1])
            self.assertLess(memory, MIB)
            self.assertEqual(server.resp("DBSIZE"), 0)

    def test_patch_and_post_take_chunked_bodies_too(self):
        value, more = bytes_of(600000), bytes_of(3 * MIB + 5, 1)
        with Server() as server, http_client.Client(server.http_port) as client:
            client.send(chunked(b"/kv/k", value, [65536], method=b"POST"))
            self.assertEqual(client.reply().status, 201)
            client.send(chunked(b"/kv/k?append", more, [65536], method=b"PATCH") + http_client.get(b"/kv/k"))
            self.assertEqual(client.reply().body, b"%d" % (len(value) + len(more)))
            self.assertEqual(client.reply().body, value + more)
            client.send(chunked(b"/kv/new?append", more, [65536], method=b"PATCH"))
            self.assertEqual(client.reply().body, b"%d" % len(more))
            self.assertEqual(server.resp("GET", "new"), more)


class Ends(unittest.TestCase):
    """Values that are let go are given back, wherever the last hold of them ends."""

    def test_memory_comes_back_whoever_lets_go(self):
        value = bytes(40 * MIB)
        with Server("--threads", "2", env=AT_ONCE) as server:
            base = resident_of(server)
            for end in (("DEL", "k"), ("UNLINK", "k"), ("SET", "k", "small"), ("FLUSHALL",), ("GETDEL", "k"),
                        ("PEXPIRE", "k", 1)):
                server.resp("SET", "k", value)
                self.assertGreater(resident_of(server), base + len(value) // 2)
                server.resp(*end)
                for _ in range(100000):  # it is another thread that frees, and the sweep that expires
                    if resident_of(server) < base + len(value) // 2:
                        break
                    server.resp("PING")
                else:
                    self.fail(f"what {end[0]} let go is still there")


def resident_of(server):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * KIB


if __name__ == "__main__":
    unittest.main()
