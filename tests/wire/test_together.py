#!/usr/bin/env python3
"""test_together.py - replies that are sent together with those of other connections (server/sender.c) are those that
each would have got by itself: all of them, in order, to their end, whatever becomes of the other connections.

The server is stopped while the requests are sent, so that it finds them all in one turn. Every claim is tried with the
sender and without it: a filter of system calls takes io_uring from the second server, as sandboxes do."""
import ctypes
import errno
import os
import platform
import re
import signal
import socket
import struct
import unittest

import http_client
from strobe_test import Server, request

MANY = 40  # connections: more than one sending of SENDER_MAX
SETUP = 425  # io_uring_setup, on every architecture
VALUE = b"v" * 9000


def forbid_io_uring():
    """In this process, from here on, io_uring_setup is not permitted (seccomp, a filter of four instructions)."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, SETUP), (0x06, 0, 0, 0x50000 | errno.EPERM), (0x06, 0, 0, 0x7fff0000)]
    program = b"".join(struct.pack("HBBI", *line) for line in code)
    held = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(held)))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, filter_, 0, 0) != 0:  # NO_NEW_PRIVS; SECCOMP, FILTER
        raise OSError(ctypes.get_errno(), "prctl")


def rings_of(server):
    """How many io_urings the server has."""
    count = 0
    for number in os.listdir(f"/proc/{server.pid}/fd"):
        try:
            count += "io_uring" in os.readlink(f"/proc/{server.pid}/fd/{number}")
        except FileNotFoundError:
            pass
    return count


class Stopped:
    """The server does nothing inside of this, and then finds all at once."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.server.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.server.pid, os.WSTOPPED | os.WNOWAIT)

    def __exit__(self, *_):
        self.server.signal(signal.SIGCONT)


def pipeline(number, count=20):
    """Requests of connection NUMBER, and the bytes that answer them."""
    key = f"k{number}"
    asks, answers = [], []
    for i in range(count):
        text = f"{number}:{i}".encode()
        asks += [request("SET", key, text), request("GET", key), request("ECHO", text)]
        answers += [b"+OK\r\n"] + [b"$%d\r\n%s\r\n" % (len(text), text)] * 2
    return b"".join(asks), b"".join(answers)


class Together:
    """The claims. FORBID says how the server is kept from io_uring, if at all."""
    forbid = None

    def server(self, *options):
        return Server("--threads", "1", *options, before=self.forbid)

    def test_replies_are_each_connections_own_and_in_order(self):
        with self.server() as server:
            clients = [server.client() for _ in range(MANY)]
            for turn in range(5):
                loads = [pipeline(number, 1 if turn == 0 else 20) for number in range(MANY)]
                with Stopped(server):
                    for client, (asked, _) in zip(clients, loads):
                        client.send(asked)
                for client, (_, answer) in zip(clients, loads):
                    self.assertEqual(client.exactly(len(answer)), answer)
            for client in clients:
                client.close()

    def test_replies_of_both_doors_come_whole(self):
        with self.server() as server:
            server.resp("SET", "k", "value")
            texts = [server.client() for _ in range(MANY)]
            pages = [http_client.Client(server.http_port) for _ in range(MANY)]
            with Stopped(server):
                for text, page in zip(texts, pages):
                    text.send(request("GET", "k"))
                    page.send(http_client.get(b"/kv/k") + http_client.put(b"/kv/other", b"x") +
                              http_client.get(b"/kv/k"))
            for text, page in zip(texts, pages):
                self.assertEqual(text.reply(), b"value")
                self.assertEqual(page.reply().body, b"value")
                self.assertIn(page.reply().status, (201, 204))
                self.assertEqual(page.reply().body, b"value")
                text.close()
                page.close()

    def test_connections_that_end_get_everything_first(self):
        with self.server() as server:
            clients = [server.client() for _ in range(MANY)]
            pages = [http_client.Client(server.http_port) for _ in range(MANY)]
            loads = [pipeline(number) for number in range(MANY)]
            with Stopped(server):
                for number, (client, (asked, _)) in enumerate(zip(clients, loads)):
                    client.send(asked + (request("QUIT") if number % 3 == 0 else b""))
                    if number % 3 == 1:
                        client.end()
                for page in pages:
                    page.send(http_client.get(b"/healthz") + http_client.get(b"/healthz", b"Connection: close"))
            for number, (client, (_, answer)) in enumerate(zip(clients, loads)):
                if number % 3 == 2:
                    self.assertEqual(client.exactly(len(answer)), answer)
                    self.assertEqual(client.ask("PING"), b"PONG")
                else:
                    self.assertEqual(client.rest(), answer + (b"+OK\r\n" if number % 3 == 0 else b""))
                client.close()
            for page in pages:
                self.assertEqual([page.reply().status, page.reply().status, page.rest()], [200, 200, b""])
                page.close()

    def test_peers_that_are_gone_cost_the_others_nothing(self):
        with self.server() as server:
            clients = [server.client() for _ in range(MANY)]
            with Stopped(server):
                for number, client in enumerate(clients):
                    client.send(request("ECHO", number))
                    if number % 2 == 0:  # a reset, which overtakes the reply
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        client.close()
            for number, client in enumerate(clients):
                if number % 2 == 1:
                    self.assertEqual(client.reply(), str(number).encode())
                    self.assertEqual(client.ask("ECHO", "still"), b"still")
                    client.close()

    def test_peer_that_does_not_read_keeps_its_order_and_holds_nobody_up(self):
        with self.server("--max-reply-buffer", "1mb") as server:
            server.resp("SET", "k", VALUE)
            lazy = [server.client(receive_buffer=4096) for _ in range(4)]
            brisk = [server.client() for _ in range(MANY)]
            rounds = 400  # 3.6 MB: more than sockets and the reply buffer hold
            for turn in range(rounds):
                for client in lazy:  # one a turn each, so that each reply comes by itself
                    client.send(request("GET", "k") + request("ECHO", turn))
                if turn % 10 == 0:
                    for client in brisk:
                        client.send(request("ECHO", turn))
                    for client in brisk:
                        self.assertEqual(client.reply(), str(turn).encode())
            held = [int(found) for found in re.findall(r" omem=(\d+)", server.resp("CLIENT", "LIST").decode())]
            self.assertLess(max(held), 1 << 20)
            for client in lazy:
                for turn in range(rounds):
                    self.assertEqual(client.reply(), VALUE)
                    self.assertEqual(client.reply(), str(turn).encode())
                client.close()
            for client in brisk:
                client.close()

    def test_stop_answers_all_that_was_received(self):
        server = self.server()
        try:
            clients = [server.client() for _ in range(MANY)]
            for client in clients:
                client.ask("PING")
            loads = [pipeline(number) for number in range(MANY)]
            with Stopped(server):
                for client, (asked, _) in zip(clients, loads):
                    client.send(asked)
                server.signal(signal.SIGTERM)
            for client, (_, answer) in zip(clients, loads):
                self.assertEqual(client.rest(), answer)
                client.close()
            self.assertEqual(server.wait(), 0)
        finally:
            server.kill()

    def test_killed_connections_get_whole_replies_or_none(self):
        with self.server() as server:
            clients = [server.client() for _ in range(MANY)]
            killer = server.client()
            for client in clients:
                client.ask("CLIENT", "NO-TOUCH", "OFF")
            with Stopped(server):
                for number, client in enumerate(clients):
                    client.send(request("ECHO", number) * 2)
                killer.send(request("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
            self.assertGreaterEqual(killer.reply(), MANY)
            for number, client in enumerate(clients):
                text = str(number).encode()
                whole = b"$%d\r\n%s\r\n" % (len(text), text) * 2
                try:
                    self.assertIn(client.rest(), (whole, b""))
                except ConnectionResetError:
                    self.assertIn(bytes(client.held), (whole, b""))
                client.close()
            killer.close()


def naps_of(server):
    page = http_client.Client(server.http_port)
    page.send(http_client.get(b"/metrics"))
    found = re.search(rb"^strobe_loop_naps_total (\d+)$", page.reply().body, re.M)
    page.close()
    return int(found[1])


class Naps(unittest.TestCase):
    """A busy loop sleeps for a moment to find several requests at once (server/coalesce.c)."""

    def test_lone_connection_is_never_kept_waiting(self):
        with Server("--threads", "1") as server:
            with server.client() as client:
                for _ in range(3000):
                    self.assertEqual(client.ask("PING"), b"PONG")
            self.assertEqual(naps_of(server), 0)

    def test_busy_loop_waits_for_several(self):
        with Server("--threads", "1") as server:
            clients = [server.client() for _ in range(MANY)]
            tries = 0
            while naps_of(server) == 0:
                tries += 1
                self.assertLess(tries, 2000, "no nap, with 40 connections that ask as fast as they can")
                for _ in range(20):
                    for number, client in enumerate(clients):
                        client.send(request("ECHO", number))
                    for number, client in enumerate(clients):
                        self.assertEqual(client.reply(), str(number).encode())
            for client in clients:
                client.close()


class WithSender(Together, unittest.TestCase):
    def test_each_loop_has_a_sender(self):
        with Server("--threads", "3") as server:
            if rings_of(server) == 0:
                self.skipTest("this system has no io_uring")
            self.assertEqual(rings_of(server), 3)
            self.assertNotIn("io_uring", server.log())


@unittest.skipUnless(platform.machine() in ("x86_64", "aarch64"), "the filter is written for these")
class WithoutSender(Together, unittest.TestCase):
    forbid = staticmethod(forbid_io_uring)

    def test_server_does_without(self):
        with self.server() as server:
            self.assertEqual(rings_of(server), 0)
            server.wait_log(r"worker no io_uring here")
            self.assertEqual(server.resp("PING"), b"PONG")


if __name__ == "__main__":
    unittest.main()
