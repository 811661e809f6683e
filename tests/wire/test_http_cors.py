#!/usr/bin/env python3
"""test_http_cors.py - allow-origin: whose web pages may use HTTP, and that nobody else's can."""
import json
import os
import signal
import tempfile
import time
import unittest

import strobe_test
from http_client import HOST, Client, HttpCase, get, put

MINE, OTHER, EVIL = b"https://app.example", b"http://localhost:3000", b"http://evil.example"


def origin(text):
    return b"Origin: " + text


def preflight(path, text, method=b"PUT", *lines):
    lines = (origin(text), b"Access-Control-Request-Method: " + method, *lines)
    return b"OPTIONS " + path + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


class CorsTest(HttpCase):
    options = ("--allow-origin", "https://app.example,http://LOCALHOST:3000,http://plain.example:80")

    def test_pages_of_allowed_origins_read_and_write(self):
        for text in (MINE, OTHER, b"http://plain.example", b"https://app.example:443"):
            for data, status in ((put(b"/kv/c", b"v", origin(text)), None), (get(b"/kv/c", origin(text)), 200),
                                 (get(b"/kv/none", origin(text)), 404), (get(b"/kv/", origin(text)), 200),
                                 (get(b"/kv/?stream", origin(text)), 200), (get(b"/nothing", origin(text)), 404),
                                 (put(b"/batch", b'["PING"]', origin(text), method=b"POST"), 200),
                                 (put(b"/kv/c?incr=x", b"", origin(text), method=b"PATCH"), 400),
                                 (put(b"/kv/?prefix=c", b"", origin(text), method=b"DELETE"), 200),
                                 (put(b"/kv/c", b"v", origin(text), b"Sec-Fetch-Site: cross-site"), None)):
                reply = self.ask(data)
                self.assertIn(reply.status, (status,) if status else (201, 204))
                self.assertEqual(reply.headers["access-control-allow-origin"], text.decode())
                self.assertIn("Origin", reply.headers["vary"].split(", "))
                exposed = reply.headers["access-control-expose-headers"].split(", ")
                self.assertLessEqual({"ETag", "TTL", "Link", "Content-Range"}, set(exposed))

    def test_others_are_refused_as_ever(self):
        for text in (EVIL, b"null", b"http://app.example", b"https://app.example:444", b"https://xapp.example",
                     b"https://app.example.evil.example", b"http://localhost:3001", b"https://app.example, http://a",
                     b"*"):
            for data, status in ((put(b"/kv/c", b"v", origin(text)), 403), (get(b"/kv/none", origin(text)), 404),
                                 (put(b"/batch", b'["PING"]', origin(text), method=b"POST"), 403),
                                 (put(b"/kv/c", b"", origin(text), method=b"DELETE"), 403)):
                reply = self.ask(data)
                self.assertEqual(reply.status, status, text)
                self.assertNotIn("access-control-allow-origin", reply.headers)
                self.assertIn("Origin", reply.headers["vary"].split(", "))
        self.assertIn("allow-origin", json.loads(self.ask(put(b"/kv/c", b"v", origin(EVIL))).body)["detail"])
        self.assertEqual(self.ask(put(b"/kv/c", b"v", b"Sec-Fetch-Site: cross-site")).status, 403)
        self.assertIn(self.ask(put(b"/kv/c", b"v")).status, (201, 204))

    def test_preflight_says_what_a_page_may_send(self):
        reply = self.ask(preflight(b"/kv/k", MINE, b"PUT", b"Access-Control-Request-Headers: if-match,ttl"))
        self.assertEqual((reply.status, reply.headers["access-control-allow-origin"]), (204, MINE.decode()))
        self.assertEqual(reply.headers["access-control-allow-methods"], "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS")
        allowed = reply.headers["access-control-allow-headers"].lower().split(", ")
        self.assertLessEqual({"if-match", "if-none-match", "ttl", "content-type", "range"}, set(allowed))
        self.assertGreater(int(reply.headers["access-control-max-age"]), 0)
        self.assertEqual(self.ask(preflight(b"/batch", MINE, b"POST")).headers["access-control-allow-methods"],
                         "POST, OPTIONS")
        for data in (preflight(b"/kv/k", EVIL), preflight(b"/kv/k", b"null"), b"OPTIONS /kv/k HTTP/1.1\r\n" + HOST
                     + b"Access-Control-Request-Method: PUT\r\n\r\n"):
            reply = self.ask(data)
            self.assertEqual(reply.status, 204)
            self.assertFalse([name for name in reply.headers if name.startswith("access-control-")])
        plain = self.ask(b"OPTIONS /kv/k HTTP/1.1\r\n" + HOST + origin(MINE) + b"\r\n\r\n")
        self.assertNotIn("access-control-allow-methods", plain.headers)

    def test_origins_take_turns_on_one_connection(self):
        client = self.open()
        for text in (MINE, OTHER, EVIL, MINE, OTHER):
            client.send(get(b"/healthz", origin(text)))
            self.assertEqual(client.reply().headers.get("access-control-allow-origin"),
                             None if text == EVIL else text.decode())


class AnyTest(HttpCase):
    options = ("--allow-origin", "*")

    def test_every_page_may(self):
        for text in (MINE, EVIL, b"null"):
            reply = self.ask(put(b"/kv/c", b"v", origin(text), b"Sec-Fetch-Site: cross-site"))
            self.assertIn(reply.status, (201, 204))
            self.assertEqual(reply.headers["access-control-allow-origin"], "*")
            self.assertNotIn("vary", reply.headers)
        self.assertEqual(self.ask(preflight(b"/kv/k", EVIL)).headers["access-control-allow-origin"], "*")
        self.assertEqual(self.ask(get(b"/kv/c")).headers["access-control-allow-origin"], "*")


class NoneTest(HttpCase):
    def test_nothing_is_said_by_default(self):
        for data in (get(b"/kv/none", origin(MINE)), preflight(b"/kv/k", MINE), put(b"/kv/c", b"v", origin(MINE))):
            reply = self.ask(data)
            self.assertFalse([name for name in reply.headers if name.startswith("access-control-") or name == "vary"])
        self.assertEqual(self.ask(put(b"/kv/c", b"v", origin(MINE))).status, 403)


class ConfigTest(unittest.TestCase):
    def test_what_is_no_origin_is_refused_at_start(self):
        for text in ("app.example", "http://", "http://a/", "http://a,b", "null", "http://user@a", "http://a:99999"):
            status, _, complaint = strobe_test.run("--allow-origin", text, "--check-config")
            self.assertEqual(status, 1, text)
            self.assertIn("--allow-origin: expected scheme://host", complaint)

    def test_sighup_changes_it(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("allow-origin = none\n")
            file.flush()
            with strobe_test.Server("--config", file.name) as server:
                client = Client(server.http_port)
                self.addCleanup(client.close)
                client.send(put(b"/kv/c", b"v", origin(MINE)))
                self.assertEqual(client.reply().status, 403)
                with open(file.name, "w", encoding="ascii") as again:
                    again.write(f"allow-origin = {MINE.decode()}\n")
                os.kill(server.pid, signal.SIGHUP)
                end = time.monotonic() + strobe_test.PATIENCE
                status = 403
                while status == 403 and time.monotonic() < end:  # until the connection's loop has heard of it
                    client.send(put(b"/kv/c", b"v", origin(MINE)))
                    status = client.reply().status
                self.assertEqual(status, 201)


if __name__ == "__main__":
    unittest.main(verbosity=1)
