#!/usr/bin/env python3
"""test_redis_cli.py - Debian's redis-cli and redis-benchmark against the text door, as people use them."""
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
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

    def refused(self, *arguments):
        """All that redis-cli says when what it is asked for is not to be had. It ends by itself."""
        done = subprocess.run(["redis-cli", "-p", str(self.server.port), *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

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

    def test_forms_of_output(self):
        self.server.resp("MSET", "k", "\u00e4\x01", "n", 1)
        self.assertEqual(json.loads(self.cli("--json", "mget", "k", "none")), ["\u00e4\x01", None])
        self.assertEqual(json.loads(self.cli("-2", "--json", "exists", "k")), 1)
        self.assertIn("GET", [row[0].upper() for row in json.loads(self.cli("--json", "command", "info", "get"))])
        self.assertEqual(json.loads(self.cli("--json", "command", "docs", "get"))["get"]["group"], "string")
        self.assertEqual(self.cli("--quoted-json", "get", "k"), '"\\\\xc3\\\\xa4\\\\x01"\n')
        self.assertEqual(self.cli("--csv", "scan", "0", "match", "n"), '"0","n"\n')
        self.assertEqual(self.cli("-d", ",", "mget", "n", "none", "n"), "1,,1\n")
        self.assertEqual(self.cli("-D", ";", "-r", "3", "incr", "n"), "2;3;4;")

    def test_forms_of_input(self):
        self.assertEqual(self.cli("-X", "TAG", "set", "k", "TAG", "ex", "100", stdin=b"a\0b"), "OK\n")
        self.assertEqual(self.server.resp("GET", "k"), b"a\0b")
        self.assertEqual(self.cli("--quoted-input", "set", r'"\x00\r\n"', '"v"'), "OK\n")
        self.assertEqual(self.server.resp("GET", b"\0\r\n"), b"v")
        self.assertEqual(self.cli("--scan", "--quoted-pattern", r'"\x00*"'), "\n")  # it prints up to the zero
        url = f"redis://127.0.0.1:{self.server.port}/0"
        done = subprocess.run(["redis-cli", "-u", url, "strlen", "k"], capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"3\n", b""))
        self.assertEqual(self.cli("-n", "0", "-c", "strlen", "k"), "3\n")

    def test_what_is_not_there_is_refused_in_words(self):
        self.server.resp("SET", "word", "x")
        self.assertEqual(self.refused("-e", "incr", "word"), (1, "ERR value is not an integer or out of range\n"))
        self.assertIn("SELECT 1 failed: ERR DB index is out of range", self.refused("-n", "1", "get", "word")[1])
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write("return redis.call('GET', KEYS[1])")
            script.flush()
            self.assertIn("ERR unknown command 'EVAL'", self.refused("--eval", script.name, "word", ",", "x")[1])
        status, told = self.refused("--hotkeys")
        self.assertEqual(status, 1)
        self.assertIn("access frequency not tracked", told)
        for mode in (("--rdb", os.devnull), ("--functions-rdb", os.devnull), ("--replica",)):
            status, told = self.refused(*mode)
            self.assertEqual(status, 1, mode)
            self.assertIn("ERR unknown command", told)
        self.assertIn("is not configured as a cluster node",
                      self.refused("--cluster", "info", f"127.0.0.1:{self.server.port}")[1])

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

    def test_memkeys_finds_what_takes_most(self):
        self.fill()
        self.server.resp("SET", "big", "x" * 5000)
        for samples in ((), ("--memkeys-samples", "0")):
            told = self.cli("--memkeys", *samples, "-i", "0")
            self.assertIn(f"Sampled {KEYS + 1} keys in the keyspace!", told)
            found = re.search(r"Biggest string found '\"big\"' has (\d+) bytes", told)
            self.assertIn(int(found[1]), range(5003, 6500))
            total = int(re.search(rf"{KEYS + 1} strings with (\d+) bytes", told)[1])
            self.assertGreater(total, KEYS * 50)

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

    def on_terminal(self, *arguments):
        """redis-cli as a person has it, and the terminal's other end."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        program = subprocess.Popen(["redis-cli", "-p", str(self.server.port), *arguments], stdin=its, stdout=its,
                                   stderr=its, env={**os.environ, "TERM": "xterm", "HOME": "/nonexistent"})
        os.close(its)
        self.addCleanup(os.close, ours)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program, ours

    def until(self, terminal, pattern):
        """Reads the terminal until what came matches; gives the match."""
        came, end = "", time.monotonic() + strobe_test.PATIENCE
        while not (found := re.search(pattern, came)):
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"{pattern!r} did not come, but {came!r}")
            came += os.read(terminal, 65536).decode(errors="replace")
        return found

    def test_a_person_at_the_prompt(self):
        program, terminal = self.on_terminal()
        prompt = rf"127.0.0.1:{self.server.port}(\(TX\))?> (\r\x1b\[\d+C)?$"
        self.until(terminal, prompt)
        for typed, shown in (("set greeting \"hello\\tworld\"", r"OK\r\n"), ("get greeting", r'"hello\\tworld"\r\n'),
                             ("incr n", r"\(integer\) 1\r\n"), ("get none", r"\(nil\)\r\n"),
                             ("multi", r"OK\r\n"), ("incr n", r"QUEUED\r\n"), ("exec", r"1\) \(integer\) 2\r\n"),
                             ("help getver", r"Gives the value of a key and its version"),
                             ("hello 3", r"\"strobe_version\"|\"server\""), ("get none", r"\(nil\)\r\n")):
            os.write(terminal, typed.encode() + b"\r")
            self.until(terminal, shown + r"[\s\S]*" + prompt)
        os.write(terminal, b"set ")
        self.until(terminal, r"IFVER version.*KEEPTTL")  # the hint, from COMMAND DOCS
        os.write(terminal, b"\x15quit\r")
        self.assertEqual(program.wait(strobe_test.PATIENCE), 0)

    def test_latency_over_time(self):
        _, terminal = self.on_terminal("--latency-history", "-i", "1")
        self.until(terminal, r"min: \d+, max: \d+, avg: [\d.]+ \([1-9]\d* samples\) -- 1\.\d+ seconds range")

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
