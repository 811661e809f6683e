#!/usr/bin/env python3
"""test_bootstrap.py - what `./bootstrap run` prints and starts, for each way to say a port or a file. In a folder of
its own with a make that makes nothing and a strobed that prints its words: the build is not what is tested here."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MADE = ("configure", "Makefile.in", "Makefile", "config.status", os.path.join("build-aux", "install-sh"))


class Run(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tree, self.tools, self.place = (os.path.join(holder.name, name) for name in ("tree", "tools", "place"))
        for folder in (self.tree, self.tools, self.place, os.path.join(self.tree, "conf")):
            os.mkdir(folder)
        os.mkdir(os.path.join(self.tree, "build-aux"))
        for name in ("bootstrap", os.path.join("conf", "strobe.conf")):
            shutil.copy(os.path.join(TOP, name), os.path.join(self.tree, name))
        for name in MADE:
            self.write(self.tree, name, "")
        self.program(self.tools, "make", "exit 0")
        self.program(self.tools, "dpkg-query", "printf installed")
        self.program(self.tree, "strobed", "pwd; printf 'word: %s\\n' \"$@\"")
        self.ours = os.path.join(os.path.realpath(self.tree), "conf", "strobe.conf")

    def write(self, folder, name, text):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)

    def program(self, folder, name, body):
        self.write(folder, name, f"#!/bin/sh\n{body}\n")
        os.chmod(os.path.join(folder, name), 0o755)

    def run_with(self, *words):
        """The ports of the hints, and the words that strobed gets."""
        done = subprocess.run([os.path.join(self.tree, "bootstrap"), "run", *words], cwd=self.place, timeout=30,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                              env={**os.environ, "PATH": self.tools + os.pathsep + os.environ["PATH"]})
        self.assertIn(f"\n{os.path.realpath(self.place)}\n", done.stdout)
        text, http = re.search(r"redis-cli -p (\S+)", done.stdout), re.search(r"127\.0\.0\.1:(\S+)/kv/", done.stdout)
        return text and text[1], http and http[1], re.findall(r"^word: (.*)$", done.stdout, re.MULTILINE)

    def test_without_options_it_is_our_file_and_its_ports(self):
        self.assertEqual(self.run_with(), ("7171", "7172", ["--config", self.ours]))
        self.assertEqual(self.run_with("--port=0")[:2], (None, "7172"))

    def test_ports_are_read_in_both_forms(self):
        for words in (["--port=27999", "--http-port=27998"], ["--port", "27999", "--http-port", "27998"],
                      ["--check-config", "--port", "27999", "--log-file", "--port=1", "--http-port=27998"]):
            self.assertEqual(self.run_with(*words), ("27999", "27998", ["--config", self.ours, *words]))

    def test_a_file_of_ones_own_takes_the_place_of_ours(self):
        self.write(self.place, "my.conf", "# mine\nport = 27997\n")
        for words in (["--config", "my.conf"], ["--config=my.conf"]):
            words += ["--http-port=1"]
            self.assertEqual(self.run_with(*words), ("27997", "1", words))


if __name__ == "__main__":
    unittest.main()
