#!/usr/bin/env python3
"""test_readme.py - the examples of README.md work when pasted: every ```sh block runs in a shell, every ```telnet block
is typed into a connection, and where an ```output block follows, that is what comes out.

Changed before pasting: the two ports, to those of a server of our own, the path of strobe-bench, and how long wrk runs.
All blocks run in the order of the page, against one server, as a reader's would. A command that fails, an HTTP status
that is neither success nor the one that the page shows, and an error reply that the page does not show, fail the
block."""
import os
import re
import subprocess
import tempfile
import unittest

import strobe_test

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = ("sh", "telnet")
TELNET_CHATTER = re.compile(rb"Trying .*|Connected to .*|Escape character is .*|Connection closed by foreign host\.")
# Each transfer tells its status on standard error, unless the example asks for something with -w itself.
CURLRC = 'silent\nshow-error\nwrite-out = "%{stderr}status %{http_code}\\n"\n'


def examples(text):
    """(line, language, block, the output block that follows or None) of each block that can be run."""
    blocks = [(text.count("\n", 0, found.start()) + 1, found[1], found[2], found) for found in FENCE.finditer(text)]
    for i, (line, language, block, found) in enumerate(blocks):
        if language not in RUNNABLE:
            continue
        output = None
        if i + 1 < len(blocks) and blocks[i + 1][1] == "output":
            between = text[found.end():blocks[i + 1][3].start()]
            output = blocks[i + 1][2] if not between.strip() else None
        yield line, language, block, output


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            cls.text = file.read()
        cls.examples = list(examples(cls.text))

    def for_server(self, text, server):
        text = text.replace("./strobe-bench", os.environ.get("STROBE_BENCH", "./strobe-bench"))
        text = text.replace("7171", str(server.port)).replace("7172", str(server.http_port))
        return re.sub(r"\B-d ?\d+s\b", "-d1s", text)

    def shell(self, block, output, home):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=TOP, stdin=subprocess.DEVNULL, timeout=60,
                              capture_output=True, check=False, env={**os.environ, "CURL_HOME": home, "HOME": home})
        told, complaints = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, 0, complaints + told)
        for status in re.findall(r"^status (\d+)$", complaints, re.MULTILINE):
            self.assertRegex(status, r"^2\d\d$", complaints + told)
        rest = re.sub(r"^status \d+\n", "", complaints, flags=re.MULTILINE)
        self.assertEqual(rest, "")
        if "wrk " in block:
            self.assertNotIn("Socket errors", told)
            self.assertNotIn("Non-2xx", told)
            self.assertRegex(told, r"[1-9]\d* requests in ")
        if output is None:
            self.assertNotRegex(told, r"(?m)^(\(error\)|ERR |NOSCAN )")
        else:
            self.assertEqual(told.rstrip("\n"), output.rstrip("\n"))
        return told

    def typed(self, block, output, server, ending):
        """As raw bytes, with the ends of lines that a terminal might send."""
        with server.client() as client:
            client.send(block.replace("\n", ending).encode())
            told = client.rest().decode()
        if output is not None:
            self.assertEqual(told.replace("\r\n", "\n"), output)
        return told

    def telnet(self, block, server):
        """The program itself, whose standard input stays open until the server has closed."""
        with subprocess.Popen(["telnet", "127.0.0.1", str(server.port)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
            try:
                program.stdin.write(block.encode())
                program.stdin.flush()
                told = program.stdout.read()
            finally:
                program.kill()
        lines = told.replace(b"\r\n", b"\n").split(b"\n")
        return [line.decode() for line in lines if line and not TELNET_CHATTER.fullmatch(line)]

    def test_page_has_an_example_for_each_client(self):
        shell = "".join(block for _, language, block, _ in self.examples if language == "sh")
        for client in ("curl ", "redis-cli ", "wrk ", "strobe-bench "):
            self.assertIn(client, shell)
        self.assertIn("telnet", [language for _, language, _, _ in self.examples])
        self.assertGreaterEqual(sum(output is not None for *_, output in self.examples), 4)
        languages = {found[1] for found in FENCE.finditer(self.text)}
        self.assertLessEqual(languages, {"sh", "telnet", "output"}, "a block that is neither run nor compared")

    def test_examples_work_when_pasted(self):
        with strobe_test.Server() as server, tempfile.TemporaryDirectory(prefix="strobe-readme-") as home:
            with open(os.path.join(home, ".curlrc"), "w", encoding="ascii") as file:
                file.write(CURLRC)
            for line, language, block, output in self.examples:
                with self.subTest(f"README.md:{line}"):
                    block = self.for_server(block, server)
                    if language == "sh":
                        self.shell(block, output, home)
                    else:
                        self.typed(block, output, server, "\r\n")

    def test_telnet_example_works_in_every_way_of_typing(self):
        for line, language, block, output in self.examples:
            if language != "telnet":
                continue
            self.assertTrue(block.endswith("QUIT\n"), f"README.md:{line} does not leave")
            with self.subTest(f"README.md:{line}"):
                for ending in ("\n", "\r\n"):
                    with strobe_test.Server() as server:
                        self.typed(block, output, server, ending)
                with strobe_test.Server() as server:
                    self.assertEqual(self.telnet(block, server), output.splitlines())

    def test_wrk_scripts_that_the_page_names_run(self):
        """Over a hundred keys, which are there; pipeline.lua reads the path and makes pipelines of a hundred."""
        scripts = re.findall(r"`([\w-]+\.lua)`", self.text)
        self.assertGreaterEqual(len(scripts), 3)
        with strobe_test.Server() as server:
            url = f"http://127.0.0.1:{server.http_port}/kv/k"
            server.resp("MSET", "k", "v", *(word for i in range(100) for word in (f"key:{i:010}", "v")))
            for script in scripts:
                with self.subTest(script):
                    self.shell(f"wrk -t1 -c4 -d1s -s clients/wrk/{script} {url} -- 100", None, "/")


if __name__ == "__main__":
    unittest.main()
