#!/usr/bin/env python3
"""test_node.py - node's clients against strobed: installs what node/package-lock.json pins into a folder of its own,
and runs node/clients.mjs there. Without a network, and without npm's cache of these packages, it fails."""
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


class Node(unittest.TestCase):
    def run_in(self, place, *command, **env):
        """The output of a command that ended well; one that hangs is ended with all that it started."""
        with subprocess.Popen(command, cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **env}) as program:
            hurry = threading.Timer(PATIENCE, os.killpg, (program.pid, signal.SIGKILL))
            hurry.start()
            told = program.stdout.read()
            status = program.wait()
            hurry.cancel()
        self.assertEqual(status, 0, f"{' '.join(command)}:\n{told[-8000:]}")
        return told

    def test_clients_of_node(self):
        with tempfile.TemporaryDirectory(prefix="strobe-node-") as place:
            for name in os.listdir(os.path.join(HERE, "node")):
                if name.endswith((".json", ".mjs")):
                    shutil.copyfile(os.path.join(HERE, "node", name), os.path.join(place, name))
            self.run_in(place, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            with strobe_test.Server() as server:
                told = self.run_in(place, "node", "--test", "--test-reporter=tap", "clients.mjs",
                                   STROBE_PORT=str(server.port), STROBE_HTTP_PORT=str(server.http_port))
        self.assertRegex(told, r"(?m)^# pass [1-9]\d*$")
        self.assertRegex(told, r"(?m)^# fail 0$")
        print(told)


if __name__ == "__main__":
    unittest.main()
