#!/usr/bin/env python3
"""test_core.py - what every connection is promised, whatever it asks: order, limits, timeouts, and a clean end."""
import ctypes
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
import urllib.parse

import http_client
import strobe_test
from strobe_test import Client, ReplyError, Server, request

DEBUG = ("--log-level", "debug")


PR_CAPBSET_DROP = CAP_SYS_RESOURCE = 24  # linux/prctl.h, linux/capability.h


def few_descriptors():
    """For the process that becomes the server: 40 descriptors, and root may not raise that either."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))


def address_space(size):
    """For the process that becomes the server: SIZE bytes of addresses, as ulimit -v has it."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))


SOCK_DIAG_BY_FAMILY, INET_DIAG_CONG, NETLINK_SOCK_DIAG = 20, 4, 4  # linux/sock_diag.h, inet_diag.h, netlink.h
NLM_F_REQUEST_DUMP, NLMSG_ERROR, NLMSG_DONE, ESTABLISHED = 0x301, 2, 3, 1


def congestion_control(family, local, remote):
    """How the system holds back what the TCP socket at port LOCAL sends to port REMOTE: "reno", "cubic", "bbr"."""
    ask = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 1 << (INET_DIAG_CONG - 1), 1 << ESTABLISHED) + bytes(48)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(strobe_test.PATIENCE)
        kernel.send(struct.pack("=IHHII", 16 + len(ask), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + ask)
        while True:
            rest = kernel.recv(1 << 20)
            while rest:
                length, kind = struct.unpack_from("=IH", rest)
                if kind == NLMSG_ERROR:
                    raise unittest.SkipTest("this system does not tell of its connections")
                if kind == NLMSG_DONE:
                    raise AssertionError(f"no connection from port {local} to {remote}")
                if struct.unpack_from(">HH", rest, 20) == (local, remote):  # behind the header and four bytes
                    at = 16 + 72
                    while at < length:
                        size, name = struct.unpack_from("=HH", rest, at)
                        if name == INET_DIAG_CONG:
                            return rest[at + 4:at + size].rstrip(b"\0").decode()
                        at += (size + 3) & ~3
                rest = rest[(length + 3) & ~3:]


def own_address():
    """An IPv4 address of this machine that is no loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        try:
            door.connect(("192.0.2.1", 9))  # RFC 5737's; nothing is sent
        except OSError:
            return None
        return door.getsockname()[0]


def has_address(family, address):
    try:
        socket.create_server((address, 0), family=family).close()
    except OSError:
        return False
    return True


def closed(reason):
    return rf"-> CLOSED \({reason}\)"


class Pipelines(unittest.TestCase):
    def test_half_close_gets_every_reply(self):
        with Server() as server, server.client() as client:
            client.send(request("SET", "k", "v") + b"".join(request("GET", "k") for _ in range(5000)))
            client.end()
            self.assertEqual(client.rest(), b"+OK\r\n" + b"$1\r\nv\r\n" * 5000)

    def test_half_close_with_large_replies_gets_every_reply(self):
        big = b"x" * 300000
        with Server() as server, server.client() as client:
            client.send(request("SET", "k", big) + request("GET", "k") * 40)
            client.end()
            self.assertEqual(client.rest(), b"+OK\r\n" + (b"$300000\r\n" + big + b"\r\n") * 40)

    def test_request_survives_every_cut(self):
        data = request("SET", "key", b"a\r\nb\0c") + request("GET", "key") + b'SET k2 "in line"\r\nGET k2\r\n'
        expected = b"+OK\r\n$6\r\na\r\nb\0c\r\n+OK\r\n$7\r\nin line\r\n"
        with Server(*DEBUG) as server:
            for cut in range(1, len(data)):
                with server.client() as client:
                    client.send(data[:cut])
                    # the reply to a request of another connection on the same loop comes after the first part was read
                    for _ in range(2):
                        server.resp("PING")
                    client.send(data[cut:])
                    client.end()
                    self.assertEqual(client.rest(), expected, f"cut at {cut}")

    def test_bytes_one_by_one(self):
        with Server() as server, server.client() as client:
            for byte in request("SET", "k", "v") + request("GET", "k"):
                client.send(bytes([byte]))
            self.assertEqual([client.reply(), client.reply()], [b"OK", b"v"])

    def test_large_values_come_back_as_they_were(self):
        with Server() as server, server.client() as client:
            for size in (16383, 16384, 65535, 65536, 65537, 1 << 20, 20 << 20):
                value = os.urandom(size)
                self.assertEqual(client.ask("SET", "k", value), b"OK")
                self.assertEqual(client.ask("GET", "k"), value)

    def test_quit_answers_what_came_before_and_nothing_after(self):
        with Server() as server, server.client() as client:
            client.send(request("SET", "k", "v") + request("QUIT") + request("GET", "k") * 10)
            self.assertEqual(client.rest(), b"+OK\r\n+OK\r\n")

    def test_unix_socket_serves_and_is_removed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with Server("--unix-socket", path, "--unix-socket-mode", "0600", "--port", "0", "--http-port", "0"):
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                with Client(path) as client:
                    self.assertEqual(client.ask("SET", "a", "b"), b"OK")
                    self.assertEqual(client.ask("GET", "a"), b"b")
                status, _, errors = strobe_test.run("--unix-socket", path, "--port", "0", "--http-port", "0")
                self.assertEqual(status, 1)
                self.assertIn("in use", errors)
            self.assertFalse(os.path.exists(path))


class BackPressure(unittest.TestCase):
    def test_client_that_never_reads_holds_little_and_hurts_nobody(self):
        with Server(*DEBUG) as server:
            server.resp("SET", "big", b"x" * (1 << 20))
            with server.client(receive_buffer=4096) as greedy:
                greedy.send(request("GET", "big") * 2000)  # 2 GB of replies
                server.wait_log("READING -> PAUSED")
                for i in range(100):
                    self.assertEqual(server.resp("SET", f"k{i}", i), b"OK")
                with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
                    resident = int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])
                self.assertLess(resident, 300 << 10)  # kB; sanitizers need room too
            server.wait_log(closed(".*"))

    def test_slow_reader_gets_everything_in_order(self):
        with Server() as server, server.client(receive_buffer=8192) as client:
            for i in range(20):
                client.ask("SET", f"k{i}", bytes([65 + i]) * 200000)
            requests = b"".join(request("GET", f"k{i % 20}") for i in range(400))
            sender = threading.Thread(target=client.send, args=(requests,))
            sender.start()
            for i in range(400):
                self.assertEqual(client.reply(), bytes([65 + i % 20]) * 200000)
            sender.join()

    def test_reply_over_max_reply_buffer_closes(self):
        with Server("--max-value", "1mb", "--max-reply-buffer", "2mb", *DEBUG) as server, server.client() as client:
            client.ask("SET", "k", b"x" * 1000000)
            client.send(request("MGET", *["k"] * 50))
            server.wait_log(closed("reply-limit"))
            self.assertEqual(server.resp("PING"), b"PONG")

    def test_reply_that_max_buffers_has_no_room_for_is_not_made_to_its_end(self):
        keys, size = 60000, 16000  # copied into the reply: nearly a gigabyte
        for attack in (request("MGET", *["k"] * keys),
                       request("MULTI") + (request("INFO") + request("MGET", *["k"] * (keys // 20))) * 20 +
                       request("EXEC")):
            with Server("--threads", "1", "--max-buffers", "32mb", *DEBUG) as server, server.client() as client:
                client.ask("SET", "k", b"x" * size)
                before = server.peak()
                client.send(attack)
                server.wait_log(closed("buffer-limit"))
                self.assertLess(server.peak() - before, 400 << 20)  # sanitizers need room too
                self.assertEqual(server.resp("PING"), b"PONG")

    def test_largest_connection_goes_when_buffers_are_full(self):
        with Server("--max-buffers", "8mb", *DEBUG) as server:
            with server.client() as small, server.client() as large:
                small.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + b"x" * 500000)
                large.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n")
                try:
                    for _ in range(90):
                        large.send(b"y" * 1000000)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                server.wait_log(closed("buffer-limit"))
                small.send(b"x" * 500000 + b"\r\n" + request("STRLEN", "k"))
                self.assertEqual([small.reply(), small.reply()], [b"OK", 1000000])


class Limits(unittest.TestCase):
    def test_value_over_max_value_is_refused_before_it_comes(self):
        with Server("--max-value", "1000", *DEBUG) as server:
            with server.client() as client:
                self.assertEqual(client.ask("SET", "k", b"x" * 1000), b"OK")
                client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$70000\r\n")
                self.assertEqual(client.rest(), b"-ERR Protocol error: invalid bulk length\r\n")
            server.wait_log(closed("protocol-error"))

    def test_hostile_lengths_get_an_error_and_the_end(self):
        cases = {
            b"*99999999999999999999\r\n": "invalid multibulk length",
            b"*1048577000\r\n": "invalid multibulk length",
            b"*abc\r\n": "invalid multibulk length",
            b"*1\r\n$-1\r\n": "invalid bulk length",
            b"*1\r\n$99999999999999999999\r\n": "invalid bulk length",
            b"*1\r\n$9223372036854775807\r\n": "invalid bulk length",
            b"*1\r\n$abc\r\n": "invalid bulk length",
            b"*1\r\nPING\r\n": "expected '$', got 'P'",
            b"SET k \"open\r\n": "unbalanced quotes in request",
            b"x" * 70000: "too big inline request",
        }
        with Server() as server:
            for data, text in cases.items():
                with server.client() as client:
                    client.send(request("PING") + data)
                    expected = f"+PONG\r\n-ERR Protocol error: {text}\r\n"
                    self.assertEqual(client.rest(), expected.encode(), data[:40])
            self.assertEqual(server.resp("PING"), b"PONG")

    def test_announced_lengths_cost_no_memory(self):
        with Server() as server:
            clients = [server.client() for _ in range(200)]
            for client in clients:
                client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\nx")
            self.assertEqual(server.resp("PING"), b"PONG")
            with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
                self.assertLess(int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]), 300 << 10)
            for client in clients:
                client.close()

    def test_http_on_the_text_port_is_closed_without_an_answer(self):
        with Server(*DEBUG) as server, server.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k v\r\n")
            self.assertEqual(client.rest(), b"")
            server.wait_log(closed("protocol-error"))
            self.assertEqual(server.resp("DBSIZE"), 0)

    def test_sender_of_much_after_an_error_still_sees_it(self):
        with Server() as server, server.client() as client:
            client.send(b"*1\r\n$-5\r\n" + b"z" * 500000)
            self.assertEqual(client.rest(), b"-ERR Protocol error: invalid bulk length\r\n")

    def test_max_clients_gets_a_clear_error(self):
        with Server("--max-clients", "3", *DEBUG) as server:
            clients = [server.client() for _ in range(3)]
            for client in clients:
                self.assertEqual(client.ask("PING"), b"PONG")
            with server.client() as fourth:
                self.assertEqual(fourth.rest(), b"-ERR max number of clients reached\r\n")
            with Client(("127.0.0.1", server.http_port)) as fourth:
                fourth.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertTrue(fourth.rest().startswith(b"HTTP/1.1 503 "))
            clients[0].close()
            server.wait_log(closed("eof"))
            for attempt in range(200):  # the place is free when the loop has let go of the closed one
                with server.client() as again:
                    again.send(request("PING"))
                    if again.line() == b"+PONG":
                        break
            else:
                self.fail("no place became free")
            for client in clients:
                client.close()

    def test_connections_beyond_the_descriptors_get_a_clear_error(self):
        with Server("--threads", "1", before=few_descriptors) as server:
            server.wait_log(r" warn server the limit on open files .* max-clients=10000 possible=20 limit=40$")
            clients = [server.client() for _ in range(20)]
            for client in clients:
                self.assertEqual(client.ask("PING"), b"PONG")
            self.assertIn(b"\r\nmaxclients:20\r\n", clients[0].ask("INFO", "clients"))
            for name in ("max-clients", "maxclients"):
                self.assertEqual(clients[0].ask("CONFIG", "GET", name)[1], b"20")
                with self.assertRaisesRegex(ReplyError, rf"'{name}'\) - The operating system is not able to handle "
                                            "the specified number of clients, try with 20$"):
                    clients[0].ask("CONFIG", "SET", name, 30)
                self.assertEqual(clients[0].ask("CONFIG", "GET", name)[1], b"20")
            self.assertEqual(clients[0].ask("CONFIG", "SET", "timeout", 0), b"OK")
            self.assertEqual(clients[0].ask("CONFIG", "SET", "max-clients", 20), b"OK")
            self.assertIn(b"\r\nmaxclients:20\r\n", clients[0].ask("INFO", "clients"))
            for _ in range(30):
                with server.client() as beyond:
                    self.assertEqual(beyond.rest(), b"-ERR max number of clients reached\r\n")
            for client in clients:
                client.close()

    def test_fifty_connections_are_dealt_evenly(self):
        with Server("--threads", "4", *DEBUG) as server:
            clients = [server.client() for _ in range(50)]
            for client in clients:
                self.assertEqual(client.ask("PING"), b"PONG")
            loops = [int(match[1]) for match in server.wait_log(r" open door=resp .* loop=(\d+)", count=50)]
            counts = sorted(loops.count(loop) for loop in range(4))
            self.assertEqual(counts, [12, 12, 13, 13])
            for client in clients:
                client.close()


class Scans(unittest.TestCase):
    def fill(self, server, count):
        with server.client() as client:
            for i in range(count):
                client.send(request("SET", f"k{i}", b"x" * 100))
            self.assertEqual([client.reply() for _ in range(count)], [b"OK"] * count)

    def held(self, server):
        return int(re.search(rb"strobe_scan_bytes:(\d+)", server.resp("INFO"))[1])

    def test_flush_beside_a_scan_keeps_its_data_within_scan_memory(self):
        with Server("--scan-memory", "64mb") as server:
            self.fill(server, 10000)
            cursor, keys = server.resp("SCAN", 0)
            server.resp("FLUSHALL")
            while cursor != b"0":
                cursor, page = server.resp("SCAN", cursor, "COUNT", 1000)
                keys += page
            self.assertEqual(sorted(keys), sorted(b"k%d" % i for i in range(10000)))

    def test_flush_beside_a_scan_over_scan_memory_closes_it_and_nobody_need_ask_for_the_memory(self):
        with Server("--scan-memory", "1mb", "--scan-idle-timeout", "1h") as server:
            for _ in range(2):
                self.fill(server, 20000)
                cursor, _ = server.resp("SCAN", 0)
                server.resp("FLUSHALL")
                strobe_test.until(lambda: self.held(server) == 0)
                with self.assertRaisesRegex(ReplyError, "NOSCAN"):
                    server.resp("SCAN", cursor)

    def test_a_scan_that_was_in_use_when_it_passed_scan_memory_is_closed_when_it_is_idle_though_nobody_writes(self):
        with Server("--scan-memory", "1mb", "--scan-idle-timeout", "1h") as server:
            self.fill(server, 20000)
            cursor, _ = server.resp("SCAN", 0)
            self.fill(server, 20000)
            strobe_test.until(lambda: self.held(server) == 0)
            with self.assertRaisesRegex(ReplyError, "NOSCAN"):
                server.resp("SCAN", cursor)

    def test_connections_have_their_turn_between_long_commands_of_a_pipeline(self):
        commands = {"KEYS nothing": b"*0\r\n", "SCAN 0 COUNT 10000 MATCH nothing": b"*2\r\n$1\r\n0\r\n*0\r\n"}
        for command, reply in commands.items():
            with Server("--threads", "1") as server, server.client() as greedy, server.client() as other:
                self.fill(server, 1000)
                self.assertEqual([greedy.ask("PING"), other.ask("PING")], [b"PONG", b"PONG"])
                server.signal(signal.SIGSTOP)  # so that both find the server with all there is
                os.waitpid(server.pid, os.WUNTRACED)
                greedy.send(f"{command}\r\n".encode() * 300 + b"SET end 1\r\n")
                other.send(request("GET", "end"))
                server.signal(signal.SIGCONT)
                self.assertIsNone(other.reply(), command)
                self.assertEqual(greedy.exactly(300 * len(reply)), reply * 300)
                self.assertEqual(greedy.reply(), b"OK")


class Patterns(unittest.TestCase):
    """No pattern stops a loop, whatever keys there are; each of these took seconds to minutes."""
    KEY = b"a" * 65535
    REFUSED = ("ERR the pattern is too long: 131072 bytes at most, and 128 between two stars if there is a ?, [ or "
               "\\ in them")

    def test_patterns_that_cannot_be_matched_quickly_are_refused(self):
        with Server("--threads", "1") as server, server.client() as client:
            client.ask("SET", self.KEY, "x")
            for pattern in (b"*[" + b"b" * 2000000, b"*[" + b"b" * 200 + b"]*", b"*" + b"a?" * 20000 + b"b*",
                            b"*" + rb"\a" * 65 + b"*"):
                for words in (("KEYS", pattern), ("SCAN", 0, "COUNT", 5, "MATCH", pattern)):
                    client.send(request(*words))
                    self.assertEqual(str(client.reply()), self.REFUSED)
                if len(pattern) < 60000:
                    for query in (b"", b"&stream"):
                        with http_client.Client(server.http_port) as http:
                            http.send(http_client.get(b"/kv/?match=" + urllib.parse.quote_from_bytes(pattern).encode() +
                                                      query))
                            answer = http.reply()
                        self.assertEqual(answer.status, 400)
                        self.assertIn(b"The match is too long", answer.body)

    def test_long_patterns_that_can_be_are_matched(self):
        with Server("--threads", "1") as server, server.client() as client:
            client.ask("SET", self.KEY, "x")
            for pattern, found in ((b"*" + b"a" * 30000 + b"b", 0), (b"*" + b"a" * 30000 + b"b*", 0),
                                   (b"*" + b"a" * 65534, 1), (rb"\a" * 65535, 1), (b"*[" + b"b" * 100000, 0),
                                   (b"*[" + b"b" * 100000 + b"a]", 1), (b"*a" * 60000, 1), (b"?" * 65535 + b"*", 1)):
                self.assertEqual(len(client.ask("KEYS", pattern)), found)
                self.assertEqual(len(client.ask("SCAN", 0, "MATCH", pattern)[1]), found)

    def test_introspection_takes_no_more_words_than_there_are_names_for(self):
        refused = {("CONFIG", "GET"): "ERR the patterns have more than 8192 bytes together",
                   ("COMMAND", "DOCS"): "ERR more than 512 commands at once",
                   ("COMMAND", "INFO"): "ERR more than 512 commands at once"}
        with Server("--threads", "1") as server, server.client() as client:
            for command, words, most in ((("CONFIG", "GET"), b"*z*y", 1638), (("COMMAND", "DOCS"), b"get", 512),
                                         (("COMMAND", "INFO"), b"get", 512)):
                self.assertLessEqual(len(client.ask(*command, *[words] * most)), 1024)
                client.send(request(*command, *[words] * (most + 1)))
                self.assertEqual(str(client.reply()), refused[command])
            self.assertEqual(client.ask("CLIENT", "LIST", "ID", *[99] * 16384), b"")
            client.send(request("CLIENT", "LIST", "ID", *[99] * 16385))
            self.assertEqual(str(client.reply()), "ERR more than 16384 ids at once")
            client.send(request("COMMAND", "LIST", "FILTERBY", "PATTERN", b"[" + b"b" * 1024))
            self.assertEqual(str(client.reply()), "ERR the pattern has more than 1024 bytes")
            words = ("COMMAND", "LIST", "FILTERBY", "PATTERN", b"[" + b"b" * 1000 + b"g]et")
            self.assertEqual(client.ask(*words), [b"get"])


class Timeouts(unittest.TestCase):
    def test_half_an_inline_request_is_timed_out_with_an_error(self):
        with Server("--request-timeout", "100ms", *DEBUG) as server, server.client() as client:
            client.send(b"SET k")
            self.assertTrue(client.rest().startswith(b"-ERR request timed out"))
            server.wait_log(closed("request-timeout"))

    def test_half_a_value_is_timed_out(self):
        with Server("--request-timeout", "100ms", *DEBUG) as server, server.client() as client:
            client.send(request("PING") + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nxxx")
            self.assertEqual(client.line(), b"+PONG")
            self.assertTrue(client.rest().startswith(b"-ERR request timed out"))

    def test_idle_connection_is_closed_only_by_idle_timeout(self):
        with Server("--request-timeout", "50ms", *DEBUG) as server, server.client() as idle, server.client() as half:
            self.assertEqual(idle.ask("PING"), b"PONG")
            half.send(b"PI")
            server.wait_log(closed("request-timeout"))
            self.assertEqual(idle.ask("PING"), b"PONG")
        with Server("--idle-timeout", "50ms", *DEBUG) as server, server.client() as idle:
            self.assertEqual(idle.rest(), b"")
            server.wait_log(closed("idle-timeout"))


class Signals(unittest.TestCase):
    def test_sigterm_answers_all_that_was_received(self):
        with Server() as server, server.client() as client:
            client.ask("SET", "k", b"x" * 2000)
            client.send(request("GET", "k") * 3000)
            server.signal(signal.SIGTERM)
            server.wait_log("stopping")
            # What was received when the stop began is answered whole; the rest is not begun.
            data = client.rest()
            one = b"$2000\r\n" + b"x" * 2000 + b"\r\n"
            self.assertEqual(data, one * (len(data) // len(one)))
            self.assertEqual(server.wait(), 0)

    def test_sigterm_answers_a_pipeline_that_waited_for_a_slow_reader(self):
        with Server(*DEBUG) as server, server.client(receive_buffer=4096) as client:
            client.ask("SET", "k", b"x" * 100000)
            client.send(request("GET", "k") * 100)
            server.wait_log("READING -> PAUSED")
            server.signal(signal.SIGTERM)
            server.wait_log("stopping")
            one = b"$100000\r\n" + b"x" * 100000 + b"\r\n"
            self.assertEqual(client.rest(), one * 100)
            self.assertEqual(server.wait(), 0)

    def test_sigterm_and_sigint_end_with_idle_connections_open(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = Server("--threads", "3")
            clients = [server.client() for _ in range(9)]
            for client in clients:
                client.ask("PING")
            clients[0].send(b"*2\r\n$3\r\nGET")
            server.signal(number)
            for client in clients:
                self.assertEqual(client.rest(), b"")
                client.close()
            self.assertEqual(server.wait(), 0)

    def test_second_signal_stops_at_once(self):
        server = Server(*DEBUG)
        with server.client(receive_buffer=4096) as client:
            client.ask("SET", "k", b"x" * 1000000)
            client.send(request("GET", "k") * 100)
            server.wait_log("READING -> PAUSED")
            server.signal(signal.SIGTERM)
            server.wait_log("stopping")
            server.signal(signal.SIGTERM)
            self.assertIn(server.wait(), (0, -signal.SIGTERM))

    def test_sighup_takes_what_can_change_and_names_the_rest(self):
        with tempfile.TemporaryDirectory() as folder:
            path, log = os.path.join(folder, "strobe.conf"), os.path.join(folder, "log")
            with open(path, "w", encoding="ascii") as file:
                file.write("max-clients = 100\nthreads = 2\n")
            with Server("--config", path) as server:
                with open(path, "w", encoding="ascii") as file:
                    file.write(f"max-clients = 1\nthreads = 3\nmax-value = 10\nlog-file = {log}\n")
                with server.client() as client:
                    client.ask("PING")
                    server.signal(signal.SIGHUP)
                    server.wait_log(r"a change of threads needs a restart")
                    server.wait_log(r"changed max-clients from=100 to=1")
                    with server.client() as second:
                        self.assertIn(b"max number of clients", second.rest())
                    client.send(request("SET", "k", "x" * 11))
                    self.assertIsInstance(client.reply(), ReplyError)
                os.rename(log, log + ".old")
                server.signal(signal.SIGHUP)
                while not os.path.exists(log):
                    pass
            with open(log, encoding="ascii") as file:
                self.assertIn("stopped", file.read())
            with open(log + ".old", encoding="ascii") as file:
                self.assertIn("server reloaded", file.read())

    def reload_refused(self, line, pattern):
        """SIGHUP with LINE in the file: PATTERN is logged, and all goes on as before."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            with Server("--config", file.name) as server:
                file.write(line)
                file.flush()
                server.signal(signal.SIGHUP)
                server.wait_log(pattern)
                self.assertEqual(server.resp("PING"), b"PONG")
                server.stop()
                self.assertNotIn("server reloaded", server.log())

    def test_sighup_with_a_bad_file_changes_nothing(self):
        self.reload_refused("max-clients = many\n",
                            r"nothing was changed: .*:1: max-clients: expected a whole number")

    def test_sighup_with_a_log_that_cannot_be_opened_goes_on_with_the_old_one(self):
        self.reload_refused("log-file = /nonexistent/log\n", r"cannot open the log file, keeps the old one")


class Start(unittest.TestCase):
    def test_bad_options_are_refused_with_place_and_expectation(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("# mine\nport = 70000\n")
            file.flush()
            status, _, errors = strobe_test.run("--config", file.name)
            self.assertEqual(status, 1)
            self.assertIn(f"{file.name}:2: port: expected a port from 0 to 65535", errors)
            self.assertIn('got "70000"', errors)
        for options, text in {("--prot", "1"): "unknown option", ("--bind", "0.0.0.0"): "insecure = yes",
                              ("--log-level", "x"): "expected debug, info, warn or error"}.items():
            status, _, errors = strobe_test.run(*options)
            self.assertEqual(status, 1)
            self.assertIn(text, errors)

    def test_check_config_only_checks(self):
        self.assertEqual(strobe_test.run("--check-config", "--port", "auto")[0], 0)
        self.assertEqual(strobe_test.run("--check-config", "--port", "x")[0], 1)

    def test_help_and_version(self):
        status, text, _ = strobe_test.run("--help")
        self.assertEqual(status, 0)
        self.assertIn("--max-reply-buffer", text)
        self.assertRegex(strobe_test.run("--version")[1], r"^strobed \d+\.\d+\.\d+\n$")

    def test_port_in_use_is_a_clear_error(self):
        with Server() as server:
            status, _, errors = strobe_test.run("--port", server.port, "--http-port", "0")
            self.assertEqual(status, 1)
            self.assertIn(f"port {server.port}: Address already in use", errors)

    def test_flush_of_a_server_that_is_out_of_memory_leaves_it_alive(self):
        """libuv ends the process when the thread for its first work cannot be made."""
        with Server() as server:
            if "malloc=jemalloc" not in server.log():
                self.skipTest("a sanitizer wants more addresses than there are")
        with Server("--threads", "2", before=address_space(300 << 20)) as server, server.client() as client:
            value = bytes(20 << 20)
            replies = []
            for i in range(16):
                client.send(request("SET", i, value))
                replies.append(client.reply())
            self.assertEqual(str(replies[-1]).split()[0], "OOM")
            self.assertEqual(client.ask("FLUSHALL"), b"OK")
            self.assertEqual(client.ask("SCAN", 0), [b"0", []])

            def is_set():
                client.send(request("SET", "k", value))
                return client.reply() == b"OK"

            strobe_test.until(is_set)  # a thread frees what was flushed

    def test_threads_that_have_done_nothing_yet_work_when_memory_has_run_out(self):
        """jemalloc 5.3 crashes in a thread's first allocation when it finds none for an arena."""
        with Server("--threads", "2", "--log-level", "debug") as server:
            if "malloc=jemalloc" not in server.log():
                self.skipTest("a sanitizer wants more addresses than there are")
            with server.client() as one, server.client() as other:  # each has a loop of its own
                server.wait_log("OPENING -> READING", 2)
                with open(f"/proc/{server.pid}/statm", encoding="ascii") as statm:
                    size = int(statm.read().split()[0]) * resource.getpagesize() + (1 << 20)  # an arena takes two
                resource.prlimit(server.pid, resource.RLIMIT_AS, (size, size))
                for client in (one, other):
                    self.assertEqual(client.ask("PING"), b"PONG")
                self.assertEqual(one.ask("MEMORY", "PURGE"), b"OK")
                self.assertEqual(other.ask("ECHO", "here"), b"here")

    def test_pool_that_the_system_has_no_room_for_is_a_clear_error(self):
        with Server() as server:
            if "malloc=jemalloc" not in server.log():
                self.skipTest("a sanitizer wants more addresses than there are")
        done = subprocess.run([strobe_test.binary(), "--port", "auto", "--http-port", "0", "--threads", "2"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=strobe_test.PATIENCE,
                              env={**os.environ, "UV_THREADPOOL_SIZE": "1024"}, preexec_fn=address_space(2 << 30),
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot start the threads of libuv's pool", done.stderr)

    def test_ipv6_is_served_beside_ipv4(self):
        if not has_address(socket.AF_INET6, "::1"):
            self.skipTest("this machine has no IPv6 loopback")
        with Server("--bind", "127.0.0.1,::1") as server, socket.create_connection(("::1", server.port)) as door:
            door.sendall(b"PING\r\n")
            self.assertEqual(door.recv(100), b"+PONG\r\n")

    def control_of(self, *options, source, target):
        """The congestion control of strobed's side of a connection from SOURCE to TARGET."""
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with Server("--bind", target, *options) as server:
            with socket.create_connection((target, server.port), source_address=(source, 0)) as client:
                client.sendall(b"PING\r\n")
                self.assertEqual(client.recv(100), b"+PONG\r\n")
                return congestion_control(family, server.port, client.getsockname()[1])

    def skip_unless_reno_is_a_choice(self):
        with socket.socket() as plain:
            default = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
            if default == b"reno":
                self.skipTest("reno is what every connection has here")
            try:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            except OSError:
                self.skipTest("reno may not be chosen here")
        try:
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG).close()
        except OSError:
            self.skipTest("this system does not tell of its connections")
        return default.decode()

    def test_connections_within_the_machine_are_not_paced(self):
        default = self.skip_unless_reno_is_a_choice()
        self.assertEqual(self.control_of(source="127.0.0.1", target="127.0.0.1"), "reno")
        self.assertEqual(self.control_of(source="127.1.2.3", target="127.0.0.1"), "reno")
        if (address := own_address()) is not None:
            self.assertEqual(self.control_of("--insecure", "yes", source=address, target=address), default)

    def test_ipv6_connections_within_the_machine_are_not_paced(self):
        self.skip_unless_reno_is_a_choice()
        if not has_address(socket.AF_INET6, "::1"):
            self.skipTest("this machine has no IPv6 loopback")
        self.assertEqual(self.control_of(source="::1", target="::1"), "reno")

    def test_closed_standard_files_are_no_reason_to_die(self):
        """It runs, and stops with 0, whichever of standard input, output and error are closed."""
        with tempfile.TemporaryDirectory() as folder:
            for closing in ("<&- >&- 2>&-", "2>&-", "<&-", ">&- 2>&-"):
                path = os.path.join(folder, "notify")
                with self.subTest(closing=closing), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                    manager.bind(path)
                    manager.settimeout(strobe_test.PATIENCE)
                    process = subprocess.Popen(
                        ["sh", "-c", f'exec "$0" --port auto --http-port auto {closing}', strobe_test.binary()],
                        stderr=subprocess.DEVNULL, env=dict(os.environ, NOTIFY_SOCKET=path))
                    try:
                        self.assertEqual(manager.recv(100), b"READY=1")
                        process.terminate()
                        self.assertEqual(process.wait(strobe_test.PATIENCE), 0)
                    finally:
                        process.kill()
                        process.wait()
                        os.unlink(path)

    def test_ready_is_told_to_the_service_manager(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "notify")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(path)
                manager.settimeout(strobe_test.PATIENCE)
                with Server(env=dict(os.environ, NOTIFY_SOCKET=path)):
                    self.assertEqual(manager.recv(100), b"READY=1")


if __name__ == "__main__":
    unittest.main()
