#!/usr/bin/env python3
"""test_redis_cli.py - Debian's redis-cli and redis-benchmark against the text door, as people use them."""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import strobe_test

KEYS = 2500


class RedisTools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = strobe_test.Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.server.resp("FLUSHALL")

    def tool(self, program, *arguments, stdin=b"", timeout=60):
        done = subprocess.run([program, "-p", str(self.server.port), *arguments], input=stdin, capture_output=True,
                              timeout=timeout, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
        self.assertEqual(done.stderr, b"")
        return done.stdout

    def cli(self, *arguments, **options):
        return self.tool("redis-cli", *arguments, **options).decode()

    def fill(self, count=KEYS):
        with self.server.client() as client:
            client.send(b"".join(strobe_test.request("SET", f"user:{i}", "x" * (i % 100 + 1)) for i in range(count)))
            for _ in range(count):
                self.assertEqual(client.reply(), b"OK")

    def test_words_bytes_and_replies(self):
        self.assertEqual(self.cli("set", "k", "a b\n\u20ac"), "OK\n")
        self.assertEqual(self.cli("get", "k"), "a b\n\u20ac\n")
        self.assertEqual(self.cli("--no-raw", "get", "k"), '"a b\\n\\xe2\\x82\\xac"\n')
        self.assertEqual(self.cli("--no-raw", "get", "none"), "(nil)\n")
        self.assertEqual(self.cli("--no-raw", "incr", "n"), "(integer) 1\n")
        self.assertEqual(self.cli("--no-raw", "mget", "n", "none"), '1) "1"\n2) (nil)\n')
        self.assertEqual(self.cli("--no-raw", "incr", "k"), "(error) ERR value is not an integer or out of range\n")
        self.assertEqual(self.cli("-x", "set", "bytes", stdin=b"\0\xff\r\n"), "OK\n")
        self.assertEqual(self.server.resp("GET", "bytes"), b"\0\xff\r\n")
        self.assertEqual(self.cli("--csv", "mget", "n", "none"), '"1",NULL\n')
        self.assertEqual(self.cli("-r", "3", "incr", "n"), "2\n3\n4\n")
        self.assertIn("unknown command 'LPUSH'", self.cli("LPUSH", "list", "x"))

    def test_commands_on_standard_input(self):
        told = self.cli(stdin=b'set greeting "hello world"\nget greeting\nset n 41\nincr n\nttl n\ndel n none\n')
        self.assertEqual(told, "OK\nhello world\nOK\n42\n-1\n1\n")

    def test_both_protocol_versions(self):
        self.cli("set", "k", "v")
        for version in ("-2", "-3"):
            self.assertEqual(self.cli(version, "get", "k"), "v\n")
            self.assertEqual(self.cli(version, "--no-raw", "get", "none"), "(nil)\n")
            self.assertEqual(self.cli(version, "--no-raw", "exists", "k"), "(integer) 1\n")
            self.assertEqual(self.cli(version, "--scan"), "k\n")
            self.assertIn("redis_version:", self.cli(version, "info"))

    def test_scan_lists_every_key_once(self):
        self.fill()
        keys = self.cli("--scan").splitlines()
        self.assertEqual(sorted(keys), sorted(f"user:{i}" for i in range(KEYS)))
        keys = self.cli("--scan", "--pattern", "user:1*").splitlines()
        self.assertEqual(sorted(keys), sorted(f"user:{i}" for i in range(KEYS) if str(i)[0] == "1"))
        self.assertEqual(self.cli("--scan", "--pattern", "nobody:*"), "")

    def test_bigkeys_finds_the_biggest(self):
        self.fill()
        self.server.resp("SET", "big", "x" * 5000)
        told = self.cli("--bigkeys", "-i", "0")
        self.assertIn(f"Sampled {KEYS + 1} keys in the keyspace!", told)
        self.assertIn("Biggest string found '\"big\"' has 5000 bytes", told)

    def test_pipe_loads_and_counts_errors(self):
        stream = b"".join(strobe_test.request("SET", f"k{i}", f"v{i}") for i in range(20000))
        told = self.cli("--pipe", stdin=stream)
        self.assertIn("errors: 0, replies: 20000", told)
        self.assertEqual(self.server.resp("DBSIZE"), 20000)
        self.assertEqual(self.server.resp("GET", "k19999"), b"v19999")
        wrong = subprocess.run(["redis-cli", "-p", str(self.server.port), "--pipe"], capture_output=True, timeout=60,
                               input=stream + strobe_test.request("INCR", "k1") + stream, check=False)
        self.assertIn(b"errors: 1, replies: 40001", wrong.stdout)

    def test_latency_is_measured(self):
        least, most, mean, samples = self.cli("--latency", "--raw", "-i", "1").split()
        self.assertLessEqual(int(least), float(mean))
        self.assertLessEqual(float(mean), int(most))
        self.assertGreater(int(samples), 10)

    def test_stat_prints_a_row_a_period(self):
        self.fill(10)
        row = re.compile(rb"^10 +[\d.]+[KMG] +[1-9]\d* +0 +\d+ \(\+\d+\) +[1-9]\d*")
        with subprocess.Popen(["redis-cli", "-p", str(self.server.port), "-i", "0.1", "--stat"],
                              stdout=subprocess.PIPE) as program:
            try:
                lines = [program.stdout.readline() for _ in range(5)]
            finally:
                program.kill()
        self.assertEqual([bool(row.match(line)) for line in lines], [False, False, True, True, True], lines)

    def test_benchmark_with_pipelines(self):
        told = self.tool("redis-benchmark", "-t", "set,get,incr,mset", "-P", "16", "-n", "100000", "-r", "10000",
                         "--csv")
        rates = re.findall(r'(?m)^"([A-Z]+)[^"]*","([\d.]+)"', told.decode())
        self.assertEqual([name for name, _ in rates], ["SET", "GET", "INCR", "MSET"])
        self.assertGreater(min(float(rate) for _, rate in rates), 0)

    def test_benchmark_as_it_comes(self):
        """Without -P, over all its clients and with several threads; only what strobe has, by name."""
        for form in ((), ("--threads", "2"), ("-d", "20000", "-n", "2000")):
            told = self.tool("redis-benchmark", "-t", "ping,set,get,incr,mset", "-n", "20000", "-q", *form).decode()
            for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"):
                self.assertRegex(told, re.escape(name) + r": [1-9][\d.]* requests per second", form)

    def test_benchmark_of_any_command(self):
        command = ("set", "k:__rand_int__", "v", "ex", "100")
        told = self.tool("redis-benchmark", "-n", "5000", "-r", "1000", "-q", *command)
        self.assertRegex(told.decode(), r": [1-9][\d.]* requests per second")
        self.assertGreater(self.server.resp("DBSIZE"), 500)
        self.assertGreater(self.server.resp("TTL", self.server.resp("RANDOMKEY")), 0)


if __name__ == "__main__":
    unittest.main()
