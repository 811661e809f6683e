#!/usr/bin/env python3
"""test_slow.py - SLOWLOG, LATENCY, MEMORY and DELPREFIX do what they say: times that were really spent, memory that
really comes back, and a removal that takes what was there and nothing that came later."""
import signal
import tempfile
import threading
import time
import unittest

from strobe_test import ReplyError, Server, request

PHASES = [b"request", b"loop", b"lock", b"execute", b"flush", b"commands"]
MIB = 1 << 20


def pairs(flat):
    return dict(zip(flat[::2], flat[1::2]))


def entries(client, *words):
    return client.ask("SLOWLOG", "GET", *words)


def fill(client, prefix, count):
    for at in range(0, count, 10000):
        part = range(at, min(at + 10000, count))
        client.send(b"".join(request("SET", f"{prefix}{i}", i) for i in part))
        for _ in part:
            assert client.reply() == b"OK"


class Slowlog(unittest.TestCase):
    def test_threshold_zero_logs_every_command_as_it_was_sent(self):
        with Server("--slowlog-threshold", 0) as server, server.client() as client:
            client.ask("CLIENT", "SETNAME", "tester")
            client.ask("SET", "k", "v" * 200)
            client.ask("MSET", *(f"w{i}" for i in range(40)))
            found = entries(client)
            self.assertEqual([entry[0] for entry in found], [2, 1, 0])
            mset, put, name = found
            self.assertEqual(put[3], [b"SET", b"k", b"v" * 128 + b"... (72 more bytes)"])
            self.assertEqual(len(mset[3]), 32)
            self.assertEqual(mset[3][31], b"... (10 more arguments)")
            self.assertEqual(name[3], [b"CLIENT", b"SETNAME", b"tester"])
            self.assertLess(abs(put[1] - time.time()), 60)
            self.assertRegex(put[4], rb"^127\.0\.0\.1:\d+$")
            self.assertEqual(put[5], b"tester")
            self.assertEqual(client.ask("SLOWLOG", "LEN"), 4)
            self.assertEqual(len(entries(client, 2)), 2)
            self.assertEqual(len(entries(client, -1)), 6)
            client.ask("SLOWLOG", "RESET")
            self.assertEqual([entry[3] for entry in entries(client)], [[b"SLOWLOG", b"RESET"]])

    def test_length_bounds_it_and_zero_keeps_nothing(self):
        with Server("--slowlog-threshold", 0, "--slowlog-length", 3) as server, server.client() as client:
            for i in range(10):
                client.ask("SET", "k", i)
            self.assertEqual(client.ask("SLOWLOG", "LEN"), 3)
            self.assertEqual([entry[0] for entry in entries(client)], [10, 9, 8])
        with Server("--slowlog-threshold", 0, "--slowlog-length", 0) as server, server.client() as client:
            client.ask("SET", "k", "v")
            self.assertEqual(client.ask("SLOWLOG", "LEN"), 0)

    def test_only_the_slow_one_of_a_batch_is_logged_with_its_time(self):
        with Server("--slowlog-threshold", "5ms", "--threads", 1) as server, server.client() as client:
            client.ask("SET", "big", b"x" * (64 * MIB))
            client.ask("SLOWLOG", "RESET")
            client.ask("LATENCY", "RESET")
            client.send(request("SET", "a", 1) + request("APPEND", "big", "y" * 99) + request("GET", "a"))
            self.assertEqual([client.reply() for _ in range(3)], [b"OK", 64 * MIB + 99, b"1"])
            found = entries(client, 10, "PHASES")
            self.assertEqual([entry[3] for entry in found], [[b"APPEND", b"big", b"y" * 99]])
            phases = pairs(found[0][6])
            self.assertEqual(list(phases), PHASES)
            self.assertGreaterEqual(found[0][2], 5000)
            self.assertLessEqual(phases[b"execute"] + phases[b"lock"], found[0][2] + 1)
            self.assertEqual(phases[b"commands"], 1)
            self.assertIsInstance(phases[b"flush"], int)
            latest = client.ask("LATENCY", "LATEST")
            self.assertEqual([event[0] for event in latest], [b"fast-command"])
            self.assertGreaterEqual(latest[0][3], 5)
            history = client.ask("LATENCY", "HISTORY", "fast-command")
            self.assertEqual(history[-1], latest[0][1:3])
            self.assertIn(b"slowlog-threshold = 5 ms", client.ask("LATENCY", "DOCTOR"))
            self.assertEqual(client.ask("LATENCY", "RESET", "fast-command", "nosuch"), 1)
            self.assertEqual(client.ask("LATENCY", "LATEST"), [])

    def test_job_is_logged_with_the_time_of_its_slices(self):
        with Server("--slowlog-threshold", "1ms", "--threads", 1) as server, server.client() as client:
            fill(client, "key:", 200000)
            client.ask("SLOWLOG", "RESET")
            self.assertEqual(len(client.ask("KEYS", "key:*")), 200000)
            found = [entry for entry in entries(client, -1, "PHASES") if entry[3] == [b"KEYS", b"key:*"]]
            self.assertEqual(len(found), 1)
            self.assertGreater(found[0][2], 1000)
            self.assertIsInstance(pairs(found[0][6])[b"flush"], int)

    def test_debug_sleep_holds_its_loop_where_there_is_one(self):
        with Server("--threads", 1) as server, server.client() as client, server.client() as other:
            if not client.ask("COMMAND", "INFO", "debug")[0]:
                with self.assertRaisesRegex(ReplyError, "^ERR unknown command 'DEBUG'"):
                    client.ask("DEBUG", "SLEEP", 0)
                return
            client.send(request("GET", "a") + request("DEBUG", "SLEEP", "0.05") + request("GET", "b"))
            self.assertEqual([client.reply() for _ in range(3)], [None, b"OK", None])
            entry = entries(other, 1, "PHASES")[0]
            self.assertEqual(entry[3], [b"DEBUG", b"SLEEP", b"0.05"])
            self.assertGreaterEqual(pairs(entry[6])[b"execute"], 50000)
            for words, error in (((), "wrong number of arguments for 'debug' command"),
                                 (("FOO",), "unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG"),
                                 (("SLEEP", "x"), "value is not a valid float")):
                with self.assertRaisesRegex(ReplyError, f"^ERR {error}"):
                    client.ask("DEBUG", *words)

    def test_time_that_a_request_took_to_come_is_told(self):
        with Server("--slowlog-threshold", 0) as server, server.client() as client:
            data = request("SET", "k", "v")
            client.send(data[:10])
            time.sleep(0.05)  # the pause itself is what is measured
            client.send(data[10:])
            self.assertEqual(client.reply(), b"OK")
            entry = entries(client, 1, "PHASES")[0]
            self.assertEqual(entry[3], [b"SET", b"k", b"v"])
            self.assertGreaterEqual(pairs(entry[6])[b"request"], 40000)
            self.assertLess(entry[2], 40000)

    def test_reply_that_nobody_takes_is_not_flushed_yet(self):
        with Server("--slowlog-threshold", 0, "--threads", 1) as server:
            with server.client() as reader, server.client() as other:
                reader.ask("SET", "big", b"x" * (32 * MIB))
                reader.send(request("GET", "big"))
                while not (found := [e for e in entries(other, -1, "PHASES") if e[3] == [b"GET", b"big"]]):
                    pass
                self.assertIsNone(pairs(found[0][6])[b"flush"])
                self.assertEqual(len(reader.reply()), 32 * MIB)
                while pairs([e for e in entries(other, -1, "PHASES") if e[0] == found[0][0]][0][6])[b"flush"] is None:
                    pass

    def test_words_of_commands_that_take_passwords_are_not_kept(self):
        with Server("--slowlog-threshold", 0) as server, server.client() as client:
            client.ask("HELLO", 2, "AUTH", "default", "secret")
            words = entries(client)[0][3]
            self.assertEqual(words, [b"HELLO"] + [b"(redacted)"] * 4)

    def test_options_change_with_a_reload(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("slowlog-threshold = 1h\n")
            file.flush()
            with Server("--config", file.name) as server, server.client() as client:
                client.ask("SET", "k", "v")
                self.assertEqual(client.ask("SLOWLOG", "LEN"), 0)
                file.seek(0)
                file.truncate()
                file.write("slowlog-threshold = 0\nslowlog-length = 2\n")
                file.flush()
                server.signal(signal.SIGHUP)
                server.wait_log(r"server reloaded")
                while client.ask("SLOWLOG", "LEN") < 2:
                    pass
                self.assertEqual(len(entries(client, -1)), 2)


class Latency(unittest.TestCase):
    def test_histogram_counts_every_call_that_ran(self):
        with Server("--threads", 2) as server, server.client() as one, server.client() as two:
            for client in (one, two):
                client.send(b"".join(request("SET", "k", i) for i in range(100)) + request("STRLEN", "k"))
                for _ in range(101):
                    client.reply()
            with self.assertRaises(ReplyError):
                one.ask("GET")
            one.ask("MULTI")
            one.ask("STRLEN", "k")
            one.ask("EXEC")
            found = pairs(one.ask("LATENCY", "HISTOGRAM", "SET", "strlen", "get", "nosuch"))
            self.assertEqual(set(found), {b"set", b"strlen"})
            for name, calls in ((b"set", 200), (b"strlen", 2)):
                row = pairs(found[name])
                counts = pairs(row[b"histogram_usec"])
                self.assertEqual(row[b"calls"], calls)
                self.assertEqual(list(counts.values())[-1], calls)
                self.assertEqual(sorted(counts), list(counts))
                self.assertEqual(sorted(counts.values()), list(counts.values()))
            self.assertIn(b"exec", pairs(one.ask("LATENCY", "HISTOGRAM")))
            one.ask("CLIENT", "ID")
            self.assertIn(b"client|id", pairs(one.ask("LATENCY", "HISTOGRAM", "client")))


class Memory(unittest.TestCase):
    def test_usage_is_the_blocks_that_the_allocator_gave(self):
        with Server() as server, server.client() as client:
            client.ask("SET", "k" * 14, "v" * 32)
            self.assertIn(client.ask("MEMORY", "USAGE", "k" * 14), (64, 80))
            client.ask("SET", "big", b"x" * MIB)
            big = client.ask("MEMORY", "USAGE", "big", "SAMPLES", 0)
            self.assertGreaterEqual(big, MIB)
            self.assertLess(big, MIB * 5 // 4 + 4096)

    def test_purge_gives_memory_back_at_once(self):
        with Server() as server, server.client() as client:
            for i in range(8):
                client.ask("SET", f"big{i}", b"x" * (16 * MIB))
            stats = pairs(client.ask("MEMORY", "STATS"))
            if stats[b"allocator.resident"] == stats[b"allocator.active"]:
                return  # libc's malloc, of a sanitizer: it keeps what it likes
            full = self.resident(client)
            self.assertGreater(full, 128 * MIB)
            client.ask("FLUSHALL", "SYNC")
            self.assertEqual(client.ask("MEMORY", "PURGE"), b"OK")
            self.assertLess(self.resident(client), full - 100 * MIB)

    @staticmethod
    def resident(client):
        text = client.ask("INFO", "memory").decode()
        return int(dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)["used_memory_rss"])

    def test_stats_add_up(self):
        with Server() as server, server.client() as client:
            fill(client, "key:", 10000)
            stats = pairs(client.ask("MEMORY", "STATS"))
            self.assertEqual(stats[b"keys.count"], 10000)
            self.assertGreater(stats[b"dataset.bytes"], 10000 * 16)
            self.assertEqual(stats[b"overhead.total"] + stats[b"dataset.bytes"], stats[b"total.allocated"])
            self.assertEqual(set(pairs(stats[b"db.0"])), {b"overhead.hashtable.main", b"overhead.hashtable.expires"})
            self.assertAlmostEqual(float(stats[b"fragmentation"]) * stats[b"total.allocated"],
                                   stats[b"total.allocated"] + stats[b"fragmentation.bytes"], delta=10)

    def test_doctor_names_the_figure_and_the_option(self):
        with Server("--scan-memory", "1mb") as server, server.client() as client:
            fill(client, "key:", 100000)
            client.ask("MEMORY", "PURGE")
            self.assertIn(b"All is well: 100000 keys", client.ask("MEMORY", "DOCTOR"))
            client.ask("SCAN", 0)
            fill(client, "key:", 20000)
            self.assertIn(b"of scan-memory = 1.0 MiB", client.ask("MEMORY", "DOCTOR"))


class DelPrefix(unittest.TestCase):
    def test_exactly_the_prefix_goes(self):
        with Server() as server, server.client() as client:
            fill(client, "a:", 30000)
            fill(client, "b:", 1000)
            client.ask("SET", "a", "stays")
            self.assertEqual(client.ask("DELPREFIX", "a:"), 30000)
            self.assertEqual(client.ask("DBSIZE"), 1001)
            self.assertEqual(client.ask("GET", "a"), b"stays")
            self.assertEqual(client.ask("DELPREFIX", "a:"), 0)

    def test_later_writes_survive_and_others_are_served_meanwhile(self):
        with Server("--threads", 1) as server, server.client() as client, server.client() as other:
            fill(client, "p:", 200000)
            client.send(request("DELPREFIX", "p:"))
            written = []
            stop = threading.Event()
            got = []

            def wait_for_reply():
                got.append(client.reply())
                stop.set()

            waiter = threading.Thread(target=wait_for_reply)
            waiter.start()
            while not stop.is_set():
                key = f"p:{len(written)}"
                self.assertEqual(other.ask("SET", key, "later"), b"OK")
                written.append(key)
            waiter.join()
            self.assertGreater(len(written), 1)
            left = set(other.ask("KEYS", "p:*"))
            self.assertLessEqual(got[0], 200000)
            self.assertGreaterEqual(got[0] + len(left), 200000)
            # what was written before the snapshot went with the rest: a first part of it, and no other
            late = [key for key in written if key.encode() in left]
            self.assertEqual(late, written[len(written) - len(late):])
            self.assertEqual(left, {key.encode() for key in late})


if __name__ == "__main__":
    unittest.main()
