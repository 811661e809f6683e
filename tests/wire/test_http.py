#!/usr/bin/env python3
"""test_http.py - what the HTTP door promises: keys over GET, PUT and DELETE, conditions, refusals, and when it closes.

Raw bytes over a socket wherever the framing is the point; curl where curl's own ways are."""
import base64
import email.utils
import json
import os
import re
import shutil
import socket
import tempfile
import time
import unittest

from http_client import HOST, Client, HttpCase, get, put
from strobe_test import Server

# name, bytes, statuses of the answers, is the connection closed after them (None: not looked at)?
ROWS = [
    ("missing key", get(b"/kv/none"), [404], False),
    ("unknown path", get(b"/nothing"), [404], False),
    ("no slash behind kv", get(b"/kv"), [404], False),
    ("put, get, delete", put(b"/kv/r1", b"v") + get(b"/kv/r1") + put(b"/kv/r1", b"", method=b"DELETE"),
     [201, 200, 204], False),
    ("put twice", put(b"/kv/r2", b"v") + put(b"/kv/r2", b"w") + put(b"/kv/r2", b"", method=b"DELETE"),
     [201, 204, 204], False),
    ("post is put", put(b"/kv/r3", b"v", method=b"POST") + put(b"/kv/r3", b"", method=b"DELETE"), [201, 204], False),
    ("delete missing", put(b"/kv/none", b"", method=b"DELETE"), [404], False),
    ("empty value", put(b"/kv/r4", b"") + get(b"/kv/r4") + put(b"/kv/r4", b"", method=b"DELETE"),
     [201, 200, 204], False),
    ("options of a key", b"OPTIONS /kv/k HTTP/1.1\r\n" + HOST + b"\r\n", [204], False),
    ("options of all", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", [204], False),
    ("patch of what", put(b"/kv/k", b"1", method=b"PATCH"), [400], False),
    ("patch on the list", put(b"/kv/?append", b"1", method=b"PATCH"), [405], False),
    ("put on the list", put(b"/kv/", b"1"), [405], False),
    ("delete on a page", put(b"/metrics", b"", method=b"DELETE"), [405], False),
    ("trace", b"TRACE /kv/k HTTP/1.1\r\n" + HOST + b"\r\n", [405], False),
    ("connect", b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", [405], False),
    ("unknown method", b"BREW /kv/k HTTP/1.1\r\n" + HOST + b"\r\n", [501], True),
    ("bad escape", get(b"/kv/a%2"), [400], False),
    ("bad escape in put", put(b"/kv/a%zz", b"v"), [400], False),
    ("bad ttl", put(b"/kv/k?ttl=soon", b"v"), [400], False),
    ("ttl of nothing", put(b"/kv/k?ttl=0", b"v"), [400], False),
    ("ttl without value", put(b"/kv/k?ttl", b"v"), [400], False),
    ("negative ttl", put(b"/kv/k?ttl=-5", b"v"), [400], False),
    ("endless ttl", put(b"/kv/k?ttl=9223372036854775807ms", b"v"), [400], False),
    ("bad ttl header", put(b"/kv/k", b"v", b"TTL: later"), [400], False),
    ("ttl and keepttl", put(b"/kv/k?ttl=5&keepttl", b"v"), [400], False),
    ("misspelt parameter", put(b"/kv/k?tll=5", b"v"), [400], False),
    ("unknown parameter of a read", get(b"/kv/none?_=1"), [404], False),
    ("form with files", put(b"/kv/k", b"v", b"Content-Type: multipart/form-data; boundary=x"), [415], False),
    ("encoded body", put(b"/kv/k", b"v", b"Content-Encoding: gzip"), [415], False),
    ("part of a body", put(b"/kv/k", b"v", b"Content-Range: bytes 0-0/5"), [400], False),
    ("bad condition", put(b"/kv/k", b"v", b"If-Match: 12"), [400], False),
    ("condition on nothing", put(b"/kv/none", b"v", b'If-Match: "12"'), [412], False),
    ("errors in the middle", get(b"/healthz") + put(b"/kv/k?x", b"body") + get(b"/nowhere") + get(b"/readyz"),
     [200, 400, 404, 200], False),
    ("error before a body that does not come", put(b"/kv/k?x", b"").replace(b": 0", b": 99"), [400], True),
    ("body too large", put(b"/kv/k", b"").replace(b"Length: 0", b"Length: 99999999999"), [413], True),
    ("chunked body", b"PUT /kv/r5 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
     b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: t\r\n\r\n" + get(b"/kv/r5") + put(b"/kv/r5", b"", method=b"DELETE"),
     [201, 200, 204], False),
    ("bad chunk", b"PUT /kv/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
     [400], True),
    ("length and chunks", b"PUT /kv/k HTTP/1.1\r\n" + HOST +
     b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", [400], True),
    ("two lengths", b"PUT /kv/k HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", [400], True),
    ("other coding", b"PUT /kv/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", [501], True),
    ("get with a body", put(b"/kv/none", b"what", method=b"GET") + get(b"/healthz"), [404, 200], False),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", [400], True),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", [400], True),
    ("not a host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", [400], None),
    ("http 1.0", b"GET /healthz HTTP/1.0\r\n\r\n", [200], True),
    ("http 1.0 that stays", b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [200], False),
    ("http 0.9", b"GET /healthz\r\n\r\n", [400], True),
    ("http 2.0", b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", [505], True),
    ("close is the last", get(b"/healthz", b"Connection: close") + get(b"/healthz"), [200], True),
    ("upgrade is ignored", get(b"/healthz", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                               b"HTTP2-Settings: AAMAAABkAAQAAP__"), [200], False),
    ("absolute form", b"GET http://localhost:1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [200], False),
    ("absolute form of a stranger", b"GET http://evil.example/healthz HTTP/1.1\r\n" + HOST + b"\r\n", [403], False),
    ("bare line feeds", b"GET /healthz HTTP/1.1\nHost: localhost\n\n", [400], True),
    ("folded header", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", [400], True),
    ("space before a colon", b"GET /healthz HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", [400], True),
    ("resp array", b"*1\r\n$4\r\nPING\r\n", [400], True),
    ("resp inline", b"PING\r\n", [400], True),
    ("control in the target", b"GET /kv/a\x01b HTTP/1.1\r\n" + HOST + b"\r\n", [400], True),
    ("empty lines first", b"\r\n\r\n" + get(b"/healthz"), [200], False),
    ("unknown expectation", put(b"/kv/k", b"v", b"Expect: coffee"), [417], True),
    ("host of a stranger", b"GET /kv/none HTTP/1.1\r\nHost: evil.example\r\n\r\n", [403], False),
    ("host that is an address", b"GET /kv/none HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", [404], False),
    ("host without a dot", b"GET /kv/none HTTP/1.1\r\nHost: strobe:80\r\n\r\n", [404], False),
    ("foreign origin writes", put(b"/kv/k", b"v", b"Origin: http://evil.example"), [403], False),
    ("null origin writes", put(b"/kv/k", b"v", b"Origin: null"), [403], False),
    ("other port writes", put(b"/kv/k", b"v", b"Origin: http://localhost:81"), [403], False),
    ("other scheme writes", put(b"/kv/k", b"v", b"Origin: https://localhost"), [403], False),
    ("cross-site writes", put(b"/kv/k", b"v", b"Sec-Fetch-Site: cross-site"), [403], False),
    ("foreign origin deletes", put(b"/kv/k", b"", b"Origin: http://evil.example", method=b"DELETE"), [403], False),
    ("foreign origin reads", get(b"/kv/none", b"Origin: http://evil.example"), [404], False),
    ("own origin writes", put(b"/kv/r6", b"v", b"Origin: http://localhost") +
     put(b"/kv/r6", b"", b"Origin: http://localhost:80", method=b"DELETE"), [201, 204], False),
    ("unknown parameter of a listing", get(b"/kv/?prefx=a"), [400], False),
    ("limit of nothing", get(b"/kv/?limit=0"), [400], False),
    ("limit of words", get(b"/kv/?limit=ten"), [400], False),
    ("cursor of words", get(b"/kv/?cursor=ten"), [400], False),
    ("cursor of nobody", get(b"/kv/?cursor=12345"), [410], False),
    ("stream with a limit", get(b"/kv/?stream&limit=5"), [400], False),
    ("head of a missing key", b"HEAD /kv/none HTTP/1.1\r\n" + HOST + b"\r\n", [404], False),
    ("head of the list", b"HEAD /kv/ HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/healthz"), [200, 200], False),
    ("head of a stream", b"HEAD /kv/?stream HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/healthz"), [200, 200], False),
    ("many fields", get(b"/healthz", *[b"X: y"] * 99), [200], False),
    ("too many fields", get(b"/healthz", *[b"X: y"] * 100), [431], True),
    ("large head", get(b"/healthz", b"X: " + b"y" * 17000), [431], True),
    ("long target", get(b"/" + b"x" * 210000), [414], True),
    ("longest key", get(b"/kv/" + b"x" * 65535), [404], False),
    ("too long a key", get(b"/kv/" + b"x" * 65536), [414], False),
    ("too long a key, encoded", get(b"/kv/" + b"%78" * 65536), [414], False),
]


def read(path):
    with open(path, "rb") as file:
        return file.read()


class HttpTest(HttpCase):
    options = ("--allow-host", "kv.example.org", "--max-value", "64mb")

    def check_row(self, row, step):
        name, data, statuses, is_closed = row
        if step and re.search(rb"Content-Length: [1-9]", data) and any(status >= 400 for status in statuses):
            # An error before the whole body was read closes; whether it was depends on the cuts.
            statuses = statuses[:1 + next(i for i, status in enumerate(statuses) if status >= 400)]
            is_closed = None
        with self.subTest(name, step=step):
            client = self.open()
            client.send(data, step)
            for i, status in enumerate(statuses):
                reply = client.reply(is_head=i == 0 and data.startswith(b"HEAD"))
                self.assertEqual(reply.status, status, reply)
                if status >= 400 and not data.startswith(b"HEAD"):
                    self.assertRegex(json.loads(reply.body)["detail"], r"^\S.*[^.]\.$")
                self.assertIsNotNone(email.utils.parsedate(reply.headers["date"]))
            if is_closed:
                self.assertEqual(client.rest(), b"")
            elif is_closed is False:
                client.send(get(b"/healthz"))
                self.assertEqual(client.reply().body, b"ok\n")
            client.close()

    def test_rows_answer_as_the_table_says(self):
        for row in ROWS:
            self.check_row(row, None)

    def test_rows_answer_the_same_byte_by_byte(self):
        for row in ROWS:
            if len(row[1]) < 1000:
                self.check_row(row, 1)

    def test_value_comes_back_as_it_was_put(self):
        for body in (b"", b"\0\r\n\xff" * 9, os.urandom(16383), os.urandom(16384), os.urandom((1 << 18) - 1),
                     os.urandom(1 << 18), os.urandom((1 << 18) + 1), os.urandom(3 << 20)):
            client = self.open()
            client.send(put(b"/kv/back", body))
            written = client.reply()
            client.send(get(b"/kv/back"))
            read = client.reply()
            self.assertEqual(read.body, body)
            self.assertEqual(read.headers["etag"], written.headers["etag"])
            self.assertRegex(read.headers["etag"], r'^"[0-9]+"$')

    def test_large_upload_that_stops_halfway_changes_nothing(self):
        old = os.urandom(1 << 20)
        self.ask(put(b"/kv/half", old))
        for end in (lambda client: client.end(), lambda client: client.close()):
            client = self.open()
            client.send(put(b"/kv/half", os.urandom(2 << 20))[:1 << 20])
            end(client)
        self.assertEqual(self.ask(get(b"/kv/half")).body, old)
        client = self.open()  # an error that only the whole body lets the connection survive, then a value
        client.send(put(b"/kv/half", os.urandom(1 << 20), b'If-Match: "1"') + put(b"/kv/half", old[::-1])
                    + put(b"/kv/half", os.urandom(1 << 20), method=b"DELETE"))
        self.assertEqual([client.reply().status for _ in range(3)], [412, 204, 204])

    def test_reply_keeps_a_stored_page_from_running(self):
        self.ask(put(b"/kv/page", b"<script>1</script>", b"Content-Type: text/html"))
        headers = self.ask(get(b"/kv/page")).headers
        self.assertEqual(headers["content-type"], "text/html")
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["content-security-policy"], "sandbox")
        self.assertEqual(headers["cache-control"], "no-cache")

    def test_content_type_is_kept_and_a_form_counts_as_none(self):
        for sent, stored in ((b"text/plain; charset=utf-8", "text/plain; charset=utf-8"),
                             (None, "application/octet-stream"),
                             (b"application/x-www-form-urlencoded", "application/octet-stream"),
                             (b"application/json", "application/json")):
            self.ask(put(b"/kv/type", b"v", *([b"Content-Type: " + sent] if sent else [])))
            self.assertEqual(self.ask(get(b"/kv/type")).headers["content-type"], stored)

    def test_head_is_get_without_the_body(self):
        self.ask(put(b"/kv/head", b"value", b"TTL: 100"))
        got = self.ask(get(b"/kv/head")).headers
        head = self.ask(b"HEAD /kv/head HTTP/1.1\r\n" + HOST + b"\r\n", is_head=True)
        self.assertEqual(head.body, b"")
        got.pop("date"), head.headers.pop("date")
        self.assertEqual(head.headers, got)

    def test_ttl_is_told_and_comes_to_its_end(self):
        for path, lines, ttl in ((b"/kv/t?ttl=30", [], 30), (b"/kv/t?ttl=2h", [], 7200), (b"/kv/t", [b"TTL: 45"], 45),
                                 (b"/kv/t?ttl=1500ms", [], 2), (b"/kv/t?ttl=9", [b"TTL: 45"], 9)):
            self.ask(put(path, b"v", *lines))
            self.assertIn(int(self.ask(get(b"/kv/t")).headers["ttl"]), (ttl - 1, ttl))
        self.ask(put(b"/kv/t?ttl=50ms", b"v"))
        end = time.monotonic() + 10
        while self.ask(get(b"/kv/t")).status == 200 and time.monotonic() < end:
            pass
        self.assertEqual(self.ask(get(b"/kv/t")).status, 404)

    def test_put_drops_the_ttl_and_keepttl_keeps_it(self):
        self.ask(put(b"/kv/keep?ttl=100", b"v"))
        self.assertEqual(self.ask(put(b"/kv/keep?keepttl", b"w")).status, 204)
        reply = self.ask(get(b"/kv/keep"))
        self.assertEqual(reply.body, b"w")
        self.assertIn(int(reply.headers["ttl"]), (99, 100))
        self.ask(put(b"/kv/keep", b"x"))
        self.assertNotIn("ttl", self.ask(get(b"/kv/keep")).headers)

    def test_if_match_writes_only_what_it_saw(self):
        old = self.ask(put(b"/kv/cas", b"1")).headers["etag"].encode()
        new = self.ask(put(b"/kv/cas", b"2", b"If-Match: " + old))
        self.assertEqual(new.status, 204)
        lost = self.ask(put(b"/kv/cas", b"3", b"If-Match: " + old))
        self.assertEqual((lost.status, lost.headers["etag"]), (412, new.headers["etag"]))
        lost = self.ask(put(b"/kv/cas", b"", b"If-Match: " + old, method=b"DELETE"))
        self.assertEqual((lost.status, lost.headers["etag"]), (412, new.headers["etag"]))
        self.assertEqual(self.ask(get(b"/kv/cas")).body, b"2")
        both = b"If-Match: " + old + b", " + new.headers["etag"].encode()
        self.assertEqual(self.ask(put(b"/kv/cas", b"", both, method=b"DELETE")).status, 204)
        self.assertEqual(self.ask(put(b"/kv/cas", b"4", b"If-Match: *")).status, 412)
        weak = self.ask(put(b"/kv/cas", b"5")).headers["etag"].encode()
        self.assertEqual(self.ask(put(b"/kv/cas", b"6", b"If-Match: W/" + weak)).status, 412)

    def test_if_none_match_creates_and_revalidates(self):
        self.ask(put(b"/kv/once", b"", method=b"DELETE"))
        first = self.ask(put(b"/kv/once", b"1", b"If-None-Match: *"))
        self.assertEqual(first.status, 201)
        again = self.ask(put(b"/kv/once", b"2", b"If-None-Match: *"))
        self.assertEqual((again.status, again.headers["etag"]), (412, first.headers["etag"]))
        etag = first.headers["etag"].encode()
        for lines in ([b"If-None-Match: " + etag], [b'If-None-Match: "1", W/' + etag], [b"If-None-Match: *"],
                      [b'If-None-Match: "1"', b"If-None-Match: " + etag]):
            reply = self.ask(get(b"/kv/once", *lines))
            self.assertEqual((reply.status, reply.body, reply.headers["etag"]), (304, b"", first.headers["etag"]))
            self.assertNotIn("content-length", reply.headers)
        self.assertEqual(self.ask(get(b"/kv/once", b'If-None-Match: "1"')).body, b"1")
        self.assertEqual(self.ask(get(b"/kv/once", b'If-Match: "1"')).status, 412)

    def test_rivals_of_one_etag_have_one_winner_a_round(self):
        clients = [self.open() for _ in range(8)]
        for turn in range(50):
            etag = self.ask(put(b"/kv/rivals", b"0")).headers["etag"].encode()
            for i, client in enumerate(clients):
                client.send(put(b"/kv/rivals?keepttl", b"%d" % i, b"If-Match: " + etag))
            statuses = sorted(client.reply().status for client in clients)
            self.assertEqual(statuses, [204] + [412] * 7, turn)

    def test_keys_are_the_bytes_of_the_path(self):
        for path, key in ((b"a/b//c", b"a/b//c"), (b"../x/./y", b"../x/./y"), (b"a%2Fb", b"a/b"), (b"a+b", b"a+b"),
                          (b"%00%ff%25", b"\x00\xff%"), (b"%3Fq", b"?q"), (b"%C3%a4", "ä".encode())):
            self.ask(put(b"/kv/" + path, b"by " + path))
            encoded = b"".join(b"%%%02x" % c for c in key)
            self.assertEqual(self.ask(get(b"/kv/" + encoded)).body, b"by " + path)
            self.assertEqual(self.server.resp("GET", key), b"by " + path)
        long = os.urandom(65535)
        path = b"/kv/" + b"".join(b"%%%02X" % c for c in long)
        self.assertEqual(self.ask(put(path, b"long")).status, 201)
        self.assertEqual(self.server.resp("GET", long), b"long")

    def test_errors_are_problems_that_say_what_to_do(self):
        for data, status, word in ((get(b"/kv/none"), 404, "no such key"), (put(b"/kv/k?ttl=x", b""), 400, "ttl=30"),
                                   (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "allow-host"),
                                   (put(b"/kv/k", b"", b"Content-Type: multipart/form-data"), 415, "--data-binary"),
                                   (b"*1\r\n$4\r\nPING\r\n", 400, "HTTP")):
            reply = self.ask(data)
            problem = json.loads(reply.body)
            self.assertEqual(reply.headers["content-type"], "application/problem+json")
            self.assertEqual((reply.status, problem["status"]), (status, status))
            self.assertIn(word, problem["detail"])

    def test_allow_lists_the_methods(self):
        self.assertEqual(self.ask(put(b"/kv/k", b"", method=b"TRACE")).headers["allow"],
                         "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS")
        self.assertEqual(self.ask(b"OPTIONS /kv/k HTTP/1.1\r\n" + HOST + b"\r\n").headers["allow"],
                         "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS")
        self.assertEqual(self.ask(put(b"/kv/", b"")).headers["allow"], "GET, HEAD, DELETE, OPTIONS")
        self.assertEqual(self.ask(put(b"/", b"")).headers["allow"], "GET, HEAD, OPTIONS")

    def test_allowed_host_is_served(self):
        for host in (b"kv.example.org", b"KV.Example.ORG:99", b"kv.example.org."):
            self.assertEqual(self.ask(b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").status, 200)
        client = self.open()
        for host, status in ((b"127.0.0.1:7", 200), (b"a.example", 403), (b"127.0.0.1:7", 200),
                             (b"app.localhost", 200)):
            client.send(b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertEqual(client.reply().status, status)

    def test_continue_is_said_only_for_a_body_that_is_wanted(self):
        client = self.open()
        client.send(b"PUT /kv/go HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(client.reply().status, 100)
        client.send(b"hello")
        self.assertIn(client.reply().status, (201, 204))
        client.send(b"PUT /kv/go?ttl=x HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(client.reply().status, 400)
        self.assertEqual(client.rest(), b"")

    def test_early_error_reaches_a_client_that_goes_on_sending(self):
        client = self.open()
        client.send(b"PUT /kv/big HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 500000)
        self.assertEqual(client.reply().status, 413)
        self.assertEqual(client.rest(), b"")

    def test_hundred_pipelined_requests_are_answered_in_order(self):
        client = self.open()
        client.send(b"".join(put(b"/kv/p%d" % i, b"%d" % i) + get(b"/kv/p%d" % i) + get(b"/kv/%zz")
                             for i in range(100)))
        for i in range(100):
            self.assertIn(client.reply().status, (201, 204))
            self.assertEqual(client.reply().body, b"%d" % i)
            self.assertEqual(client.reply().status, 400)

    def test_replies_beyond_the_high_water_mark_wait_for_their_reader(self):
        body = os.urandom(1 << 20)
        self.ask(put(b"/kv/mark", body))
        client = self.open()
        client.send(get(b"/kv/mark") * 100)
        for _ in range(100):
            self.assertEqual(client.reply().body, body)

    def test_half_closed_client_gets_every_reply(self):
        client = self.open()
        client.send(get(b"/healthz") * 10)
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual([client.reply().status for _ in range(10)], [200] * 10)
        self.assertEqual(client.rest(), b"")

    def test_both_doors_show_one_map(self):
        self.server.resp("SET", "shared", "from the text door")
        self.assertEqual(self.ask(get(b"/kv/shared")).body, b"from the text door")
        self.ask(put(b"/kv/shared", b"from http", b"Content-Type: text/plain"))
        self.assertEqual(self.server.resp("GET", "shared"), b"from http")
        self.server.resp("SET", "shared", "again")
        self.assertEqual(self.ask(get(b"/kv/shared")).headers["content-type"], "application/octet-stream")

    def test_root_is_text_for_curl_and_a_page_for_a_browser(self):
        text = self.ask(get(b"/", b"Accept: */*"))
        self.assertIn(b"curl localhost:%d/kv/greeting" % self.server.http_port, text.body)
        self.assertIn(b"is on port %d." % self.server.port, text.body)
        self.assertTrue(text.headers["content-type"].startswith("text/plain"))
        self.assertIn(b"curl", text.body)
        page = self.ask(get(b"/", b"Accept: text/html,application/xhtml+xml,*/*;q=0.8"))
        self.assertIn(b"localhost:%d/kv/greeting" % self.server.http_port, page.body)
        self.assertTrue(page.headers["content-type"].startswith("text/html"))
        self.assertIn(b"</html>", page.body)

    def test_stats_are_what_info_says(self):
        client = self.server.client()
        client.ask("SET", "k", "v", "EX", 1000)
        reply = self.ask(get(b"/stats"))
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/json"))
        told = json.loads(reply.body)
        text = client.ask("INFO").decode()
        client.close()
        sections = {}
        for part in text.split("# ")[1:]:
            head, *lines = part.split("\r\n")
            sections[head.lower()] = dict(line.split(":", 1) for line in lines if line)
        self.assertEqual({name: list(fields) for name, fields in told.items()},
                         {name: list(fields) for name, fields in sections.items()})
        for section, field in (("server", "redis_version"), ("server", "redis_git_sha1"), ("server", "tcp_port"),
                               ("server", "run_id"), ("memory", "maxmemory"), ("stats", "expired_keys")):
            self.assertEqual(str(told[section][field]), sections[section][field])
        self.assertEqual(told.keys() & {"server", "clients", "memory", "stats", "cpu", "keyspace"},
                         {"server", "clients", "memory", "stats", "cpu", "keyspace"})
        self.assertIsInstance(told["server"]["redis_version"], str)
        self.assertEqual(told["server"]["redis_git_sha1"], "00000000")
        self.assertIsInstance(told["memory"]["used_memory"], int)
        self.assertEqual(told["server"]["tcp_port"], self.server.port)

    def test_metrics_are_prometheus_text(self):
        self.ask(get(b"/kv/none"))
        reply = self.ask(get(b"/metrics"))
        samples = {}
        for line in reply.body.decode().splitlines():
            if not line.startswith("#"):
                self.assertRegex(line, r'^[a-z_]+(\{[a-z_]+="[^"]*"\})? [0-9.]+$')
                name, value = line.rsplit(" ", 1)
                self.assertNotIn(name, samples)
                samples[name] = float(value)
        self.assertGreater(samples['strobe_http_requests_total{method="GET"}'], 0)
        self.assertGreater(samples['strobe_keyspace_reads_total{result="miss"}'], 0)
        self.assertGreater(samples['strobe_connections{door="http"}'], 0)
        self.assertGreater(samples['strobe_memory_bytes{kind="resident"}'], 0)
        self.assertIn('strobe_http_replies_total{status="4xx"}', samples)


class StatsTest(unittest.TestCase):
    def test_a_path_of_any_bytes_is_one_field(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder.encode(), b'"x\\\nused_memory:5\n# Evil:\xff')
            os.mkdir(path)
            with open(os.path.join(path, b"c.conf"), "wb"):
                pass
            with Server("--config", os.fsdecode(os.path.join(path, b"c.conf"))) as server:
                client = Client(server.http_port)
                client.send(get(b"/stats"))
                told = json.loads(client.reply().body)
                client.close()
        self.assertNotIn("evil", told)
        shown = base64.b64decode(told["server"]["config_file"]["base64"])
        self.assertTrue(shown.endswith(b'"x\\?used_memory:5?# Evil:\xff/c.conf'), shown)


class LimitTest(HttpCase):
    options = ("--request-timeout", "300ms", "--max-value", "1kb")

    def test_half_a_request_times_out_with_408(self):
        for data in (b"GET / HT", get(b"/")[:-2], put(b"/kv/k", b"half of it")[:-5]):
            client = self.open()
            client.send(data)
            reply = client.reply()
            self.assertEqual((reply.status, reply.headers["connection"]), (408, "close"))
            self.assertEqual(client.rest(), b"")
            client.close()

    def test_head_that_trickles_times_out(self):
        client = self.open()
        client.socket.settimeout(0.05)
        begin = time.monotonic()
        for byte in b"GET /kv/" + b"x" * 400:
            client.send(bytes([byte]))
            try:
                client.more()
                break
            except TimeoutError:
                self.assertLess(time.monotonic() - begin, 10)
        client.socket.settimeout(20)
        self.assertEqual(client.reply().status, 408)

    def test_idle_connection_does_not_time_out(self):
        idle, half = self.open(), self.open()
        idle.send(get(b"/healthz"))
        idle.reply()
        half.send(get(b"/healthz")[:-2])
        self.assertEqual(half.reply().status, 408)
        idle.send(get(b"/healthz"))
        self.assertEqual(idle.reply().status, 200)

    def test_value_over_the_limit_is_refused_at_the_byte(self):
        self.assertEqual(self.ask(put(b"/kv/k", b"x" * 1024)).status, 201)
        self.assertEqual(self.ask(put(b"/kv/k", b"x" * 1025)).status, 413)
        chunked = b"PUT /kv/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        chunked += b"400\r\n" + b"x" * 1024 + b"\r\n"
        self.assertEqual(self.ask(chunked + b"0\r\n\r\n").status, 204)
        self.assertEqual(self.ask(chunked + b"1\r\nx\r\n0\r\n\r\n").status, 413)


class OtherProtocolTest(HttpCase):
    options = ("--threads", "1")

    def test_who_speaks_redis_is_told_the_port_for_it_wherever_it_is_cut(self):
        for data, told in ((b"*1\r\n$4\r\nPING\r\n", True), (b"\r\n*1\r\n$4\r\nPING\r\n", True),
                           (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", False),
                           (b"GET $4 HTTP/1.1\r\n" + HOST + b"\r\n", False)):
            for cut in range(1, len(data) + 1):
                client = self.open()
                client.send(data[:cut])
                self.server.resp("PING")  # the loop has read what was sent
                client.send(data[cut:])
                reply = client.reply()
                self.assertEqual((reply.status, b"text port" in reply.body), (400, told), (data, cut))


class CrowdTest(HttpCase):
    options = ("--max-clients", "4")

    def test_one_too_many_is_told_so(self):
        clients = [self.open() for _ in range(4)]
        for client in clients:
            client.send(get(b"/healthz"))
            self.assertEqual(client.reply().status, 200)
        extra = self.open()
        reply = extra.reply()
        self.assertEqual((reply.status, reply.headers["retry-after"]), (503, "1"))
        self.assertIn(b"max-clients", reply.body)
        self.assertEqual(extra.rest(), b"")
        for client in clients:
            client.close()


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class CurlTest(HttpCase):
    def test_every_way_to_upload(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(os.urandom(2 << 20))
            file.flush()
            body = read(file.name)
            for arguments in (["-T", file.name], ["--data-binary", "@" + file.name], ["-T", "-"],
                              ["--data-binary", "@" + file.name, "-H", "Expect:"],
                              ["-T", "-", "-H", "Expect: 100-continue"], ["-X", "PUT", "--data-binary", "@-"],
                              ["--http2", "-T", file.name], ["--http1.0", "-T", file.name]):
                self.curl(*arguments, f"{self.url}/kv/upload", stdin=body)
                self.assertEqual(self.curl(f"{self.url}/kv/upload"), body, arguments)
        self.curl("-d", "hello", f"{self.url}/kv/upload")
        self.assertEqual(self.curl(f"{self.url}/kv/upload"), b"hello")
        refused = self.curl("-w", "%{http_code}", "-F", "a=b", f"{self.url}/kv/upload")
        self.assertTrue(refused.endswith(b"415"))
        self.assertIn(b"--data-binary", refused)

    def test_keys_with_slashes_and_dots(self):
        for path in ("a/b/c", "a%20b", "%C3%A4", "x%3Fy", "../dots/./here"):
            self.curl("--path-as-is", "-d", path, f"{self.url}/kv/{path}")
            self.assertEqual(self.curl("--path-as-is", f"{self.url}/kv/{path}"), path.encode())

    def test_parallel_uploads_and_downloads(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(200):
                with open(f"{folder}/f{i}", "wb") as file:
                    file.write(b"%d" % i * 500)
            lines = "".join(f'next\nurl = "{self.url}/kv/par/{i}"\nupload-file = "{folder}/f{i}"\nsilent\n'
                            for i in range(200))
            self.curl("--parallel", "-K", "-", stdin=lines[5:].encode())
            lines = "".join(f'url = "{self.url}/kv/par/{i}"\noutput = "{folder}/g{i}"\n'
                            for i in range(200))
            self.curl("--parallel", "-K", "-", stdin=lines.encode())
            for i in range(200):
                self.assertEqual(read(f"{folder}/g{i}"), b"%d" % i * 500)


if __name__ == "__main__":
    unittest.main(verbosity=1)
