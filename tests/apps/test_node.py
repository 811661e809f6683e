#!/usr/bin/env python3
"""test_node.py - clients and applications of node against strobed: installs what node/package-lock.json pins into a
folder of its own, and runs each node/*.mjs there. Without a network, and without npm's cache of these packages, it
fails."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "wire"))
import strobe_test

PATIENCE = 100  # seconds, for npm and for the tests, which take a few


def run_in(place, *command, **env):
    """The output of a command that ended well; one that hangs is ended with all that it started."""
    with subprocess.Popen(command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **env}) as program:
        hurry = threading.Timer(PATIENCE, os.killpg, (program.pid, signal.SIGKILL))
        hurry.start()
        told = program.stdout.read()
        status = program.wait()
        hurry.cancel()
    if status != 0:
        raise AssertionError(f"{' '.join(command)}:\n{told[-8000:]}")
    return told


class Node(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="strobe-node-")
        cls.addClassCleanup(folder.cleanup)
        cls.place = folder.name
        for name in os.listdir(os.path.join(HERE, "node")):
            if name.endswith((".json", ".mjs")):
                shutil.copyfile(os.path.join(HERE, "node", name), os.path.join(cls.place, name))
        run_in(cls.place, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")

    def check(self, file):
        with strobe_test.Server() as server:
            told = run_in(self.place, "node", "--test", "--test-reporter=tap", file,
                          STROBE_PORT=str(server.port), STROBE_HTTP_PORT=str(server.http_port))
        self.assertRegex(told, r"(?m)^# pass [1-9]\d*$")
        self.assertRegex(told, r"(?m)^# fail 0$")
        print(told)

    def test_redis_and_fetch(self):
        self.check("clients.mjs")

    def test_ioredis(self):
        self.check("ioredis.mjs")

    def test_applications(self):
        self.check("applications.mjs")


if __name__ == "__main__":
    unittest.main()
