#!/usr/bin/env python3
"""test_clients_http.py - the examples of clients/http do what they show: Python's standard library, and Node's fetch
where node is installed (make check-apps installs it)."""
import os
import shutil
import subprocess
import sys
import unittest

import strobe_test

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

PYTHON = """\
get hello ä€😀
set if it is still that True
and once more False
add 41 42
pieces 0,1,2,3,4,
keys python/count python/greeting python/pieces
batch {'result': '42'} {'result': 50} {'result': 10}
error PATCH /kv/python%2Fgreeting?incr=1: The value is not a whole number that fits 64 bits; nothing was changed.
urllib 50 application/octet-stream
urllib 404 There is no such key.
"""

NODE = """\
get hello ä€😀
set if it is still that true
and once more false
add 41 42
append 6
entries fetch/count=42 fetch/greeting=again!
pipeline ["OK","v",43,["v",null]]
transaction ["OK",6,1]
error command 1 (INCR): ERR value is not an integer or out of range
removed true
"""


class Examples(unittest.TestCase):
    def run_example(self, *command):
        done = subprocess.run(command, capture_output=True, timeout=60, check=False,
                              env={**os.environ, "PYTHONIOENCODING": "utf-8"})
        self.assertEqual((done.returncode, done.stderr.decode()), (0, ""))
        return done.stdout.decode()

    def test_python(self):
        with strobe_test.Server() as server:
            self.assertEqual(self.run_example(sys.executable, os.path.join(TOP, "clients/http/strobe_http.py"),
                                              f"127.0.0.1:{server.http_port}"), PYTHON)

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_node(self):
        with strobe_test.Server() as server:
            self.assertEqual(self.run_example("node", os.path.join(TOP, "clients/http/strobe.mjs"),
                                              f"http://127.0.0.1:{server.http_port}"), NODE)


if __name__ == "__main__":
    unittest.main(verbosity=1)
