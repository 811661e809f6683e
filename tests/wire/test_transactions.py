#!/usr/bin/env python3
"""test_transactions.py - MULTI, EXEC and WATCH where several connections take part. What one connection sees is in
commands/multi*.txt."""
import os
import random
import re
import threading
import unittest

from strobe_test import ReplyError, Server, request

KEYS = [b"account:%d" % i for i in range(24)]  # more than enough to be in many shards
KEYS_MAX = 65536


# The address sanitizer keeps what is freed for a while, unless it is told not to.
AT_ONCE = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0"}


def transaction(*commands):
    return b"".join([request("MULTI"), *(request(*command) for command in commands), request("EXEC")])


def run(client, *commands):
    """The replies of EXEC."""
    client.send(transaction(*commands))
    for _ in range(len(commands) + 1):
        assert client.reply() in (b"OK", b"QUEUED")
    return client.reply()


class Crowd:
    """Threads that run until they are done or one of them has failed."""

    def __init__(self):
        self.threads, self.errors, self.over = [], [], threading.Event()

    def add(self, function, *args):
        self.threads.append(threading.Thread(target=self.guard, args=(function, args)))

    def guard(self, function, args):
        try:
            function(*args)
        except Exception as error:  # shown by the test, not by the thread
            self.errors.append(error)
            self.over.set()

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]


class Whole(unittest.TestCase):
    """EXEC happens at one instant."""

    ROUNDS = 150

    def write(self, server, crowd, number):
        with server.client() as client:
            for i in range(self.ROUNDS):
                if crowd.over.is_set():
                    return
                value = f"{number}:{i}"
                if i % 10 == 7:
                    run(client, ("FLUSHALL",), *(("SET", key, value) for key in KEYS))
                elif i % 10 == 3:
                    run(client, ("DEL", *KEYS[:12]), ("MSET", *sum(([key, value] for key in KEYS), [])))
                else:
                    run(client, *(("SET", key, value) for key in KEYS))

    def read(self, server, crowd, how):
        with server.client() as client:
            while not crowd.over.is_set():
                values = how(client)
                self.assertEqual(len(values), len(KEYS), values)
                self.assertEqual(len(set(values)), 1, values)

    def see(self, *ways):
        with Server("--threads", "4") as server, server.client() as client:
            client.ask("MSET", *sum(([key, "start"] for key in KEYS), []))
            writers, readers = Crowd(), Crowd()
            for number in range(3):
                writers.add(self.write, server, readers, number)
            for way in ways:
                readers.add(self.read, server, readers, way)
            for thread in readers.threads:
                thread.start()
            try:
                writers.run()
            finally:
                readers.over.set()
                for thread in readers.threads:
                    thread.join()
            self.assertEqual(readers.errors, [])

    def test_mget_sees_all_of_it_or_nothing(self):
        self.see(lambda client: client.ask("MGET", *KEYS))

    def test_another_exec_sees_all_of_it_or_nothing(self):
        self.see(lambda client: run(client, *(("GET", key) for key in KEYS)))

    def test_scan_sees_all_of_it_or_nothing(self):
        def in_one_page(client):
            return client.ask("SCAN", 0, "COUNT", 1000, "WITHVALUES")[1][1::2]

        def page_by_page(client):
            cursor, pairs = client.ask("SCAN", 0, "COUNT", 5, "WITHVALUES")
            while cursor != b"0":
                cursor, page = client.ask("SCAN", cursor, "COUNT", 5, "WITHVALUES")
                pairs += page
            return pairs[1::2]
        self.see(in_one_page, page_by_page)

    def test_scan_inside_exec_sees_what_the_commands_beside_it_see(self):
        def both(client):
            values, (cursor, pairs) = run(client, ("MGET", *KEYS), ("SCAN", 0, "COUNT", 1000, "WITHVALUES"))
            self.assertEqual(cursor, b"0")
            self.assertEqual(sorted(pairs[1::2]), sorted(values))
            return values
        self.see(both)


class Watch(unittest.TestCase):
    def test_no_update_is_lost_by_those_who_try_again(self):
        clients, rounds = 6, 120
        with Server("--threads", "3") as server:
            crowd = Crowd()
            for _ in range(clients):
                crowd.add(self.count_up, server, rounds)
            crowd.run()
            with server.client() as client:
                self.assertEqual(client.ask("MGET", "one", "two"), [b"%d" % (clients * rounds)] * 2)

    def count_up(self, server, rounds):
        with server.client() as client:
            done = 0
            while done < rounds:
                client.ask("WATCH", "one", "two")
                one, two = client.ask("MGET", "one", "two")
                self.assertEqual(one, two)
                value = int(one or 0) + 1
                replies = run(client, ("SET", "one", value), ("SET", "two", value))
                self.assertIn(replies, (None, [b"OK", b"OK"]))
                done += replies is not None

    def test_any_change_by_another_connection_makes_exec_answer_null(self):
        changes = [["SET", "k", "v"], ["SET", "k", "w"], ["DEL", "k"], ["UNLINK", "k"], ["APPEND", "k", "x"],
                   ["EXPIRE", "k", 100], ["PEXPIREAT", "k", 1], ["GETDEL", "k"], ["GETEX", "k", "EX", 9],
                   ["RENAME", "k", "z"], ["RENAME", "other", "k"], ["COPY", "other", "k", "REPLACE"],
                   ["MSET", "a", 1, "k", 2], ["SETRANGE", "k", 0, "x"], ["FLUSHALL"], ["FLUSHDB"]]
        with Server("--threads", "2") as server, server.client() as one, server.client() as two:
            for change in changes:
                one.ask("MSET", "k", "v", "other", "o")
                one.ask("WATCH", "none", "k")
                two.ask(*change)
                self.assertIsNone(run(one, ("SET", "done", change[0])), change)
                self.assertIsNone(one.ask("GET", "done"))
            one.ask("SET", "k", 1)
            one.ask("WATCH", "k")
            run(two, ("GET", "k"), ("INCR", "k"))
            self.assertIsNone(run(one, ("PING",)))
            one.ask("WATCH", "new")
            two.ask("SET", "new", 1)
            self.assertIsNone(run(one, ("PING",)))

    def test_what_leaves_the_key_as_it_was_does_not(self):
        same = [["GET", "k"], ["MGET", "k"], ["EXISTS", "k"], ["TOUCH", "k"], ["TTL", "k"], ["STRLEN", "k"],
                ["SETNX", "k", "w"], ["SET", "k", "w", "NX"], ["MSETNX", "k", 1, "m", 2], ["PERSIST", "k"],
                ["DEL", "none"], ["SET", "other", 1], ["EXPIRE", "k", 9, "XX"], ["COPY", "k", "copied"], ["KEYS", "*"],
                ["SCAN", 0], ["RENAMENX", "other", "k"], ["DELIFVER", "k", 7]]
        with Server("--threads", "2") as server, server.client() as one, server.client() as two:
            one.ask("MSET", "k", "v", "other", "o")
            one.ask("WATCH", "k", "none")
            for words in same:
                two.ask(*words)
            self.assertEqual(run(one, ("GET", "k")), [b"v"])

    def test_a_watched_key_that_expires_makes_exec_answer_null(self):
        with Server() as server, server.client() as one, server.client() as two:
            one.ask("SET", "k", "v", "PX", 50)
            one.ask("WATCH", "k")
            while two.ask("EXISTS", "k"):
                pass
            self.assertIsNone(run(one, ("SET", "done", 1)))
            one.ask("WATCH", "k")  # which is gone already
            self.assertEqual(run(one, ("SET", "done", 1)), [b"OK"])

    def test_a_key_that_was_absent_came_and_went_has_changed(self):
        with Server("--threads", "2") as server, server.client() as one, server.client() as two:
            for change in (["SET", "k", 1], ["INCR", "k"], ["MSET", "a", 1, "k", 2], ["SET", "k", 1, "PX", 1],
                           ["COPY", "other", "k"], ["RENAMENX", "other", "k"]):
                one.ask("FLUSHALL")
                one.ask("SET", "other", "o")
                one.ask("WATCH", "none", "k", "k")
                two.ask(*change)
                two.ask("DEL", "k")
                self.assertIsNone(run(one, ("SET", "done", 1)), change)
            one.ask("WATCH", "k")
            two.ask("SET", "k", "v")
            self.assertEqual(one.ask("GET", "k"), b"v")  # what it read in between is no longer so
            two.ask("DEL", "k")
            self.assertIsNone(run(one, ("SET", "copy of k", "v")))
            one.ask("WATCH", "k")
            one.ask("UNWATCH")
            two.ask("SET", "k", "v")
            self.assertEqual(run(one, ("GET", "k")), [b"v"])

    def test_keys_watched_again_and_again_cost_no_more(self):
        with Server() as server, server.client() as client, server.client() as other:
            for i in range(0, 3 * KEYS_MAX, 1024):
                client.send(request("WATCH", *(f"key:{(i + j) % 3000}" for j in range(1024))))
            for i in range(0, 3 * KEYS_MAX, 1024):
                self.assertEqual(client.reply(), b"OK")
            memory = int(dict(pair.split("=") for pair in other.ask("CLIENT", "LIST").decode().split("\n")[0].split()
                              )["qbuf"])
            self.assertLess(memory, 1 << 20)
            other.ask("SET", "key:2999", "x")
            self.assertIsNone(run(client, ("PING",)))
            client.send(request("WATCH", *(f"key:{i}" for i in range(KEYS_MAX - 1))))
            self.assertEqual(client.reply(), b"OK")
            client.send(request("WATCH", "more", "than there may be", "key:0"))
            self.assertRegex(str(client.reply()), "^ERR too many keys in one transaction")
            client.send(request("WATCH", "one"))
            self.assertEqual(client.reply(), b"OK")
            self.assertEqual(run(client, ), [])


class Ends(unittest.TestCase):
    def test_the_end_of_a_connection_discards(self):
        with Server("--threads", "2") as server, server.client() as client:
            with server.client() as gone:
                gone.ask("MULTI")
                gone.ask("SET", "k", "v")
            run(client, ("PING",))
            self.assertIsNone(client.ask("GET", "k"))

    def test_half_closing_after_exec_gives_every_reply(self):
        with Server() as server, server.client() as client:
            client.send(transaction(("SET", "k", "v"), ("KEYS", "*"), ("GET", "k")) + request("PING"))
            client.end()
            self.assertEqual(client.rest(), b"+OK\r\n" + b"+QUEUED\r\n" * 3 +
                             b"*3\r\n+OK\r\n*0\r\n$1\r\nv\r\n+PONG\r\n")

    def test_client_list_shows_who_waits(self):
        with Server() as server, server.client() as one, server.client() as two:
            one.ask("MULTI")
            one.ask("PING")
            one.ask("PING")
            self.assertIn(b" flags=x db=0 sub=0 psub=0 ssub=0 multi=2 ", two.ask("CLIENT", "LIST"))
            one.ask("EXEC")
            self.assertNotIn(b" multi=2 ", two.ask("CLIENT", "LIST"))


class Large(unittest.TestCase):
    def test_as_many_keys_as_there_may_be_and_one_more(self):
        with Server("--threads", "2") as server, server.client() as client:
            for count, replies in ((KEYS_MAX, [b"OK"] * KEYS_MAX), (KEYS_MAX + 1, None)):
                client.send(request("FLUSHALL") + request("MULTI"))
                sender = threading.Thread(target=self.send_sets, args=(client, count))
                sender.start()
                answers = [client.reply() for _ in range(count + 2)]
                result = client.reply()
                sender.join()
                self.assertEqual(answers[:KEYS_MAX + 2], [b"OK"] * 2 + [b"QUEUED"] * KEYS_MAX)
                if replies:
                    self.assertEqual(result, replies)
                else:
                    self.assertEqual(str(answers[-1]), "ERR too many keys in one transaction (65536 at most)")
                    self.assertRegex(str(result), "^EXECABORT ")
                self.assertEqual(client.ask("DBSIZE"), KEYS_MAX if replies else 0)

    @staticmethod
    def send_sets(client, count):
        for i in range(0, count, 4096):
            client.send(b"".join(request("SET", f"key:{j}", j) for j in range(i, min(i + 4096, count))))
        client.send(request("EXEC"))

    def test_a_transaction_is_no_larger_than_a_request_may_be(self):
        with Server("--max-request", "4mb", "--max-value", "3mb") as server, server.client() as client:
            client.ask("MULTI")
            self.assertEqual(client.ask("SET", "a", b"x" * 2500000), b"QUEUED")
            client.send(request("SET", "b", b"x" * 2500000))
            self.assertEqual(str(client.reply()), "ERR the transaction is larger than max-request")
            client.send(request("EXEC"))
            self.assertRegex(str(client.reply()), "^EXECABORT ")
            self.assertEqual(client.ask("DBSIZE"), 0)

    def test_large_values_go_in_and_come_out(self):
        value = bytes(range(256)) * 20000
        with Server() as server, server.client() as client:
            self.assertEqual(run(client, ("SET", "k", value), ("APPEND", "k", b"tail"), ("STRLEN", "k"), ("GET", "k"),
                                 ("MSET", "a", value, "b", b"small", "c", value[:16384]), ("SETRANGE", "a", 0, b"x"),
                                 ("SET", "k", value[:16383], "GET"), ("GET", "k"), ("DEL", "a")),
                             [b"OK", len(value) + 4, len(value) + 4, value + b"tail", b"OK", len(value),
                              value + b"tail", value[:16383], 1])
            self.assertEqual(client.ask("MGET", "k", "a", "b", "c"), [value[:16383], None, b"small", value[:16384]])

    def test_a_row_of_changes_of_a_large_value_copies_it_once(self):
        size = 8 << 20
        for again in (("SETRANGE", "big", 5, "z"), ("APPEND", "big", "z")):
            with Server("--threads", "1", env=AT_ONCE) as server, server.client() as client:
                client.ask("SET", "big", bytes(size))
                before = server.peak()
                replies = run(client, *[again] * 200, ("STRLEN", "big"))
                self.assertEqual(replies[-1], replies[-2])
                self.assertLess(server.peak() - before, 6 * size)  # the thread sanitizer has a share of ours

    def test_old_values_do_not_wait_for_the_end_in_any_number(self):
        with Server("--threads", "1", env=AT_ONCE) as server, server.client() as client:
            client.ask("SET", "small", bytes(16000))
            before = server.peak()
            self.assertEqual(run(client, *[("SETRANGE", "small", 5, "z")] * 20000), [16000] * 20000)
            self.assertLess(server.peak() - before, 160 << 20)  # of 320 MB that were replaced

    def test_copies_beyond_max_buffers_are_refused_and_the_others_go_on(self):
        size, rounds = 4 << 20, 100
        with Server("--threads", "1", "--max-buffers", "32mb", env=AT_ONCE) as server, server.client() as client:
            client.ask("SET", "big", bytes(size))
            before = server.peak()
            replies = run(client, *[("SETRANGE", "big", 5, "z"), ("COPY", "big", "other", "REPLACE")] * rounds)
            refused = [str(reply) for reply in replies[0::2] if isinstance(reply, ReplyError)]
            self.assertEqual(set(refused), {"OOM the transaction would copy more than max-buffers leaves room for, "
                                            "nothing was changed"})
            self.assertIn(len(refused), (rounds - 8, rounds - 7))  # 32 MiB, less what buffers hold already
            self.assertEqual(replies[1::2], [1] * rounds)
            # All of them, were they not refused and none freed meanwhile; the thread sanitizer has 18 to 20 by itself.
            self.assertLess(server.peak() - before, rounds * size // 2)
            self.assertEqual(client.ask("GETRANGE", "big", 0, 7), b"\0\0\0\0\0z\0\0")
            self.assertEqual(run(client, ("SETRANGE", "big", 6, "y")), [size])  # a single one always may be

    def test_changes_in_place_are_seen_by_nobody_who_looked_before(self):
        """Random commands in EXEC beside a model; what one changes in place another may have shared."""
        rnd = random.Random(7)
        with Server("--threads", "2") as server, server.client() as client, server.client() as other:
            model = {}
            for key in (b"a", b"b"):
                model[key] = rnd.randbytes(20000)
                client.ask("SET", key, model[key])
            for _ in range(150):
                cursor, page = other.ask("SCAN", 0, "COUNT", 1, "WITHVALUES")
                before, commands, expected = dict(model), [], []
                for _ in range(rnd.randrange(2, 12)):
                    self.one(rnd, model, commands, expected)
                self.assertEqual(run(client, *commands), expected)
                if cursor != b"0":
                    cursor, more = other.ask("SCAN", cursor, "COUNT", 10, "WITHVALUES")
                    self.assertEqual(cursor, b"0")
                    page += more
                self.assertEqual(dict(zip(page[::2], page[1::2])), before)
                self.assertEqual(client.ask("MGET", "a", "b"), [model[b"a"], model[b"b"]])

    @staticmethod
    def one(rnd, model, commands, expected):
        """A random command, and its reply by MODEL, which is changed."""
        key = rnd.choice((b"a", b"a", b"b"))
        kind = rnd.choice(("SETRANGE",) * 6 + ("APPEND", "APPEND", "COPY", "GET", "GETRANGE", "PERSIST", "SET"))
        value, bytes_ = model[key], rnd.randbytes(rnd.choice((1, 10, 3000)))
        reply = None
        if kind == "SETRANGE":
            offset = rnd.randrange(len(value) + 10 if rnd.random() < 0.2 else len(value) - len(bytes_))
            words = (kind, key, offset, bytes_)
            model[key] = value[:offset].ljust(offset, b"\0") + bytes_ + value[offset + len(bytes_):]
            reply = len(model[key])
        elif kind == "APPEND":
            words, model[key] = (kind, key, bytes_), value + bytes_
            reply = len(model[key])
        elif kind == "COPY":
            to = b"b" if key == b"a" else b"a"
            words, model[to], reply = (kind, key, to, "REPLACE"), value, 1
        elif kind == "SET":
            model[key] = rnd.randbytes(rnd.choice((17000, 20000, 70000)))
            words, reply = (kind, key, model[key]), b"OK"
        else:
            words, reply = {"GET": ((kind, key), value), "GETRANGE": ((kind, key, 0, 20), value[:21]),
                            "PERSIST": ((kind, key), 0)}[kind]
        commands.append(words)
        expected.append(reply)

    def test_keys_of_many_keys_keeps_its_place_and_leaves_the_loop_to_others(self):
        count = 100000
        with Server("--threads", "1") as server, server.client() as client, server.client() as other:
            for i in range(0, count, 1000):
                client.send(request("MSET", *(word for j in range(i, i + 1000) for word in (f"key:{j}", "v"))))
                self.assertEqual(client.reply(), b"OK")
            client.send(transaction(("SET", "new", 1), ("KEYS", "*"), ("DEL", "key:1"), ("INFO", "server"),
                                    ("SCAN", 0, "COUNT", 3), ("KEYS", "key:7"), ("DBSIZE",), ("GET", "new")))
            self.assertEqual(other.ask("GET", "key:2"), b"v")
            for _ in range(9):
                self.assertIn(client.reply(), (b"OK", b"QUEUED"))
            ok, keys, deleted, info, (cursor, page), seven, size, new = client.reply()
            self.assertEqual((ok, deleted, seven, size, new), (b"OK", 1, [b"key:7"], count, b"1"))
            self.assertEqual(set(keys), {b"key:%d" % i for i in range(count)})
            self.assertEqual(len(keys), count)
            self.assertIn(b"strobe_version", info)
            while cursor != b"0":
                cursor, more = other.ask("SCAN", cursor, "COUNT", 5000)
                page += more
            self.assertEqual(sorted(page), sorted(keys))

    def test_a_connection_that_ends_in_the_middle_of_exec_leaves_nothing_behind(self):
        with Server("--threads", "1") as server, server.client() as other:
            for i in range(0, 50000, 1000):
                other.ask("MSET", *(word for j in range(i, i + 1000) for word in (f"key:{j}", "v")))
            with server.client() as client:
                client.send(transaction(("KEYS", "*"), ("GET", "key:1"), ("KEYS", "*"), ("SCAN", 0), ("KEYS", "*")))
                self.assertEqual(client.reply(), b"OK")
            while b"connected_clients:1\r\n" not in other.ask("INFO", "clients"):
                pass
            self.assertEqual(other.ask("DBSIZE"), 50000)

    def test_scans_inside_are_refused_when_there_are_too_many(self):
        with Server("--max-scans", "2") as server, server.client() as client:
            client.ask("MSET", *(word for j in range(1000) for word in (f"key:{j}", "v")))
            first, second, third, name = run(client, ("SCAN", 0), ("SCAN", 0), ("SCAN", 0), ("GET", "key:1"))
            self.assertEqual(first[1], second[1])
            self.assertEqual((str(third), name), ("ERR too many scans", b"v"))
            self.assertIsInstance(third, ReplyError)


if __name__ == "__main__":
    unittest.main()
