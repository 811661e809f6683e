#!/usr/bin/env python3
"""test_linear.py - what several clients see of a strobed of several loops is what one store, that does one operation
after the other, would show: thousands of short concurrent histories, each judged (tests/linear/linear.c). And a proxy
that breaks a promise is noticed, whichever promise it is.

    test_linear.py [ROUNDS]      of each plan; 500 unless told. A seed is chosen, and printed with what fails."""
import os
import random
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import broken
import strobe_test

LINEAR = os.path.join(os.environ.get("top_builddir", "."), "tests", "linear", "linear")
ROUNDS = 500
ROUNDS_TO_NOTICE = 3000  # a fault is noticed in the first few hundred


def play(port, *options):
    """The status and the output of one run of linear."""
    done = subprocess.run([LINEAR, "--port", str(port), *map(str, options)], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


class Linear(unittest.TestCase):
    def setUp(self):
        self.server = strobe_test.Server("--threads", "4")
        self.addCleanup(self.server.stop)
        self.seed = random.SystemRandom().getrandbits(32)

    def test_histories_of_both_doors_are_linearizable(self):
        status, told = play(self.server.port, "--http-port", self.server.http_port, "--rounds", ROUNDS,
                            "--seed", self.seed)
        self.assertEqual(status, 0, told)
        self.assertEqual(told.count("all linearizable"), 4)
        print(told)

    def test_a_proxy_that_breaks_nothing_is_not_blamed(self):
        with broken.Proxy(self.server.port, "none") as proxy:
            status, told = play(proxy.port, "--rounds", 20, "--seed", self.seed)
        self.assertEqual(status, 0, told)

    def check_notices(self, fault, plan):
        with broken.Proxy(self.server.port, fault) as proxy:
            status, told = play(proxy.port, "--rounds", ROUNDS_TO_NOTICE, "--plan", plan, "--seed", self.seed)
        self.assertEqual(status, 1, told)
        self.assertIn("NOT linearizable", told)

    def test_a_stale_read_is_noticed(self):
        self.check_notices("stale", "single")

    def test_a_lost_update_is_noticed(self):
        self.check_notices("lost", "single")

    def test_a_torn_exec_is_noticed(self):
        self.check_notices("torn", "together")

    def test_a_write_that_is_answered_too_early_is_noticed(self):
        self.check_notices("early", "single")

    def test_a_scan_that_is_no_photograph_is_noticed(self):
        self.check_notices("blurred", "scan")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].isdigit():
        ROUNDS = int(sys.argv.pop(1))
    unittest.main()
