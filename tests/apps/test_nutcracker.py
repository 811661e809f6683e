#!/usr/bin/env python3
"""test_nutcracker.py - twemproxy in front of two strobes: keys are spread over both, and what goes in comes out."""
import os
import random
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import behind
import strobe_test

CONF = """
strobes:
  listen: {door}
  redis: true
  hash: murmur
  distribution: ketama
  preconnect: true
  auto_eject_hosts: false
  servers:
    - 127.0.0.1:{one}:1
    - 127.0.0.1:{two}:1
"""
COUNT = 20000
CLIENTS = 8


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def value_of(i):
    return random.Random(i).randbytes(i % 300 if i % 100 else 40000)


class Nutcracker(unittest.TestCase):
    def setUp(self):
        self.servers = [strobe_test.Server() for _ in range(2)]
        for server in self.servers:
            self.addCleanup(server.stop)
        one, two = (server.port for server in self.servers)
        # its page of figures cannot be turned off
        command = ("nutcracker", "-c", "{conf}", "-a", "127.0.0.1", "-s", "{figures}", "-v", "3")
        self.proxy = behind.Behind(self, CONF, command, one=one, two=two, figures=free_port())

    def connect(self):
        return self.proxy.client(strobe_test.Client)

    def test_a_load_is_spread_and_all_of_it_read_back(self):
        clients = [self.connect() for _ in range(CLIENTS)]
        for batch in range(0, COUNT, CLIENTS * 50):
            shares = [(client, range(batch + c * 50, batch + c * 50 + 50)) for c, client in enumerate(clients)]
            for client, share in shares:
                client.send(b"".join(strobe_test.request("SET", f"key:{i}", value_of(i)) for i in share))
            for client, share in shares:
                self.assertEqual({client.reply() for _ in share}, {b"OK"})
        counts = [server.resp("DBSIZE") for server in self.servers]
        self.assertEqual(sum(counts), COUNT)
        self.assertGreater(min(counts), COUNT // 4, counts)
        for i in range(0, COUNT, 50):
            client = clients[i // 50 % CLIENTS]
            client.send(b"".join(strobe_test.request("GET", f"key:{j}") for j in range(i, i + 50)))
            for j in range(i, i + 50):
                self.assertEqual(client.reply(), value_of(j), j)

    def test_commands_of_many_keys_are_taken_apart_and_put_together(self):
        client = self.connect()
        keys = [f"k{i}" for i in range(500)]
        self.assertEqual(client.ask("MSET", *(word for key in keys for word in (key, "of " + key))), b"OK")
        self.assertEqual(client.ask("MGET", *keys, "none"), [b"of " + key.encode() for key in keys] + [None])
        self.assertTrue(all(server.resp("DBSIZE") > 100 for server in self.servers))
        self.assertEqual(client.ask("DEL", *keys[:250], "none"), 250)
        self.assertEqual(client.ask("UNLINK", *keys[200:300]), 50)
        self.assertEqual(sum(server.resp("DBSIZE") for server in self.servers), 200)

    def test_single_commands_and_errors_pass(self):
        client = self.connect()
        self.assertEqual(client.ask("PING"), b"PONG")
        self.assertEqual(client.ask("SET", "n", 41, "EX", 100), b"OK")
        self.assertEqual(client.ask("INCR", "n"), 42)
        self.assertEqual([client.ask("APPEND", "n", "0"), client.ask("STRLEN", "n")], [3, 3])
        self.assertIn(client.ask("TTL", "n"), range(90, 101))
        self.assertEqual(client.ask("GETSET", "n", "word"), b"420")
        with self.assertRaisesRegex(strobe_test.ReplyError, "^ERR value is not an integer or out of range$"):
            client.ask("INCR", "n")
        with self.assertRaisesRegex(strobe_test.ReplyError, "^ERR unknown command"):
            client.ask("LPUSH", "n", "x")
        self.assertEqual(client.ask("GET", "n"), b"word")


if __name__ == "__main__":
    unittest.main()
