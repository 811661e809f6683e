#!/usr/bin/env python3
"""test_hiredis.py - builds hiredis.c against Debian's hiredis and libuv and runs it, with one loop and with several."""
import os
import shlex
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "wire"))
import strobe_test

LIBRARIES = ("hiredis", "libuv")
TOLD = ["ask and wait", "many before the replies", "transactions", "the reader takes single bytes",
        "callbacks in a loop"]


class Hiredis(unittest.TestCase):
    def must(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), f"{command}: {done.stdout}")
        return done.stdout

    def test_what_programs_in_c_do(self):
        flags = shlex.split(self.must("pkg-config", "--cflags", "--libs", *LIBRARIES))
        with tempfile.TemporaryDirectory(prefix="strobe-hiredis-") as place:
            program = os.path.join(place, "hiredis")
            self.must(*shlex.split(os.environ.get("CC") or "cc"), "-std=gnu11", "-Wall", "-Wextra", "-o", program,
                      os.path.join(HERE, "hiredis.c"), *flags)
            for threads in (1, 4):
                with strobe_test.Server("--threads", threads) as server:
                    self.assertEqual(self.must(program, str(server.port)).splitlines(), TOLD)


if __name__ == "__main__":
    unittest.main()
