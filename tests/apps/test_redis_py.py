#!/usr/bin/env python3
"""test_redis_py.py - Debian's redis-py against the text door: what its users call most, and its errors."""
import datetime
import os
import sys
import threading
import unittest

import redis

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import strobe_test


class RedisPy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = strobe_test.Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.db = self.open()
        self.db.flushall()

    def open(self, **options):
        db = redis.Redis(port=self.server.port, socket_timeout=20, **options)
        self.addCleanup(db.close)
        return db

    def test_values_are_kept_exactly(self):
        value = bytes(range(256)) * 300
        self.assertTrue(self.db.set(b"\x00\xff\r\n", value))
        self.assertEqual(self.db.get(b"\x00\xff\r\n"), value)
        self.assertIsNone(self.db.get("none"))
        self.assertEqual(self.db["\u00e4"] if self.db.set("\u00e4", "\u20ac") else None, "\u20ac".encode())
        self.assertEqual(self.open(decode_responses=True).get("\u00e4"), "\u20ac")
        with self.assertRaises(KeyError):
            self.db["none"]

    def test_options_of_set_and_get(self):
        db = self.db
        self.assertTrue(db.set("k", 1, nx=True))
        self.assertIsNone(db.set("k", 2, nx=True))
        self.assertTrue(db.set("k", 3, xx=True))
        self.assertIsNone(db.set("other", 3, xx=True))
        self.assertEqual(db.set("k", 4, get=True), b"3")
        self.assertTrue(db.set("k", 5, ex=datetime.timedelta(minutes=2)))
        self.assertTrue(100 < db.ttl("k") <= 120)
        self.assertTrue(db.set("k", 6, keepttl=True))
        self.assertTrue(100000 < db.pttl("k") <= 120000)
        self.assertTrue(db.set("k", 7, px=90000))
        self.assertTrue(80 < db.ttl("k") <= 90)
        self.assertTrue(db.persist("k"))
        self.assertEqual(db.ttl("k"), -1)
        self.assertEqual(db.ttl("none"), -2)
        soon = datetime.datetime.now() + datetime.timedelta(seconds=500)
        self.assertTrue(db.set("k", 8, exat=soon))
        self.assertTrue(490 < db.ttl("k") <= 500)
        self.assertTrue(db.expire("k", 30))
        self.assertTrue(db.pexpire("k", 30500))
        self.assertEqual((db.exists("k", "none"), db.type("k"), db.strlen("k")), (1, b"string", 1))

    def test_numbers_and_many_keys(self):
        db = self.db
        self.assertEqual([db.incr("n"), db.incr("n", 41), db.decr("n", 2)], [1, 42, 40])
        self.assertTrue(db.mset({"a": 1, "b": 2, "c": 3}))
        self.assertEqual(db.mget("a", "none", "c"), [b"1", None, b"3"])
        self.assertEqual(db.append("a", "00"), 3)
        self.assertEqual(db.delete("a", "b", "none"), 2)
        self.assertEqual(db.unlink("c"), 1)
        self.assertEqual((db.dbsize(), db.randomkey(), db.keys("*")), (1, b"n", [b"n"]))

    def test_pipelines_keep_their_order(self):
        with self.db.pipeline(transaction=False) as pipe:
            for i in range(5000):
                pipe.set(f"k{i}", i).get(f"k{i}").incr(f"k{i}")
            replies = pipe.execute()
        self.assertEqual(replies, [reply for i in range(5000) for reply in (True, str(i).encode(), i + 1)])

    def test_pipelines_are_transactions_unless_told_otherwise(self):
        with self.db.pipeline() as pipe:
            pipe.set("k", 1).incr("k").get("k").mget("k", "none").expire("k", 100).ttl("k").scan(0).flushall().dbsize()
            self.assertEqual(pipe.execute(), [True, 2, b"2", [b"2", None], True, 100, (0, []), True, 0])
            for i in range(5000):
                pipe.set(f"k{i}", i)
            self.assertEqual(pipe.execute(), [True] * 5000)
            pipe.set("word", "x").incr("word").get("word")
            with self.assertRaisesRegex(redis.ResponseError, "Command # 2 .*value is not an integer"):
                pipe.execute()
            self.assertEqual(self.db.get("word"), b"x")
            pipe.set("word", "y").execute_command("NOSUCH")
            with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
                pipe.execute()
        self.assertEqual(self.db.get("word"), b"x")

    def test_counting_with_watch_as_its_documentation_does(self):
        def count():
            db = self.open()
            for _ in range(50):
                with db.pipeline() as pipe:
                    while True:
                        try:
                            pipe.watch("total")
                            value = int(pipe.get("total") or 0)
                            pipe.multi()
                            pipe.set("total", value + 1)
                            pipe.execute()
                            break
                        except redis.WatchError:
                            continue

        def increment(pipe):
            value = int(pipe.get("total"))
            pipe.multi()
            pipe.set("total", value + 1)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.db.get("total"), b"200")
        self.assertEqual(self.db.transaction(increment, "total"), [True])
        self.assertEqual(self.db.get("total"), b"201")

    def test_pipeline_tells_which_command_failed(self):
        with self.db.pipeline(transaction=False) as pipe:
            pipe.set("word", "x").incr("word").get("word")
            replies = pipe.execute(raise_on_error=False)
        self.assertEqual([replies[0], replies[2]], [True, b"x"])
        self.assertIsInstance(replies[1], redis.ResponseError)

    def test_scan_iter_gives_every_key_once(self):
        self.db.mset({f"user:{i}": i for i in range(4000)})
        self.assertEqual(sorted(self.db.scan_iter()), sorted(b"user:%d" % i for i in range(4000)))
        some = list(self.db.scan_iter(match="user:3*", count=500, _type="string"))
        self.assertEqual(sorted(some), sorted(b"user:%d" % i for i in range(4000) if str(i)[0] == "3"))

    def test_scan_iter_does_not_see_keys_that_hop(self):
        """A scan beside a writer that renames by SET and DEL: one or two adjacent names of each family."""
        families = 300
        self.db.mset({f"{i}:0": "x" for i in range(families)})
        stop = threading.Event()

        def hop():
            db, step = redis.Redis(port=self.server.port), 0
            while not stop.is_set():
                for i in range(families):
                    db.set(f"{i}:{step + 1}", "x")
                    db.delete(f"{i}:{step}")
                step += 1
            db.close()

        writer = threading.Thread(target=hop)
        writer.start()
        try:
            for _ in range(5):
                steps = {}
                for key in self.db.scan_iter(count=20):
                    family, step = map(int, key.split(b":"))
                    steps.setdefault(family, []).append(step)
                self.assertEqual(len(steps), families)
                for seen in steps.values():
                    self.assertLessEqual(len(seen), 2)
                    self.assertLessEqual(max(seen) - min(seen), len(seen) - 1)
        finally:
            stop.set()
            writer.join()

    def test_errors_are_of_the_classes_that_redis_py_knows(self):
        self.db.set("word", "x")
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer or out of range"):
            self.db.incr("word")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command"):
            self.db.lpush("list", 1)
        with self.assertRaisesRegex(redis.ResponseError, "NOSCAN"):
            self.db.scan(123456789)
        self.assertEqual(self.db.get("word"), b"x")

    def test_connection_commands(self):
        db = self.open(client_name="apps", health_check_interval=1)
        self.assertTrue(db.ping())
        self.assertEqual(db.client_getname(), "apps")
        self.assertIn(db.client_id(), [int(client["id"]) for client in db.client_list()])
        self.assertEqual(db.echo("hello"), b"hello")
        info = db.info()
        self.assertEqual((info["role"], info["redis_mode"]), ("master", "standalone"))
        self.assertEqual(db.config_get("max-clients"), {"max-clients": "10000"})
        self.assertEqual(len(db.time()), 2)
        self.assertGreater(db.command_count(), 30)
        self.assertIn("get", db.command())

    def test_a_pool_of_threads_counts_right(self):
        def count():
            for _ in range(500):
                self.db.incr("total")

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.db.get("total"), b"4000")


if __name__ == "__main__":
    unittest.main()
