#!/usr/bin/env python3
"""test_http_parts.py - parts of a value: ranges of it that are read, and PATCH, which changes it in place."""
import json
import os
import threading
import unittest

from http_client import HOST, HttpCase, get, put

DIGITS = b"0123456789"

# Range, what comes back of ten digits (None: 416), Content-Range
RANGES = [
    (b"bytes=0-0", b"0", "bytes 0-0/10"),
    (b"bytes=2-5", b"2345", "bytes 2-5/10"),
    (b"bytes=7-", b"789", "bytes 7-9/10"),
    (b"bytes=-3", b"789", "bytes 7-9/10"),
    (b"bytes=-99", DIGITS, "bytes 0-9/10"),
    (b"bytes=5-99", b"56789", "bytes 5-9/10"),
    (b"bytes=9-18446744073709551616", b"9", "bytes 9-9/10"),
    (b"Bytes=0-1", b"01", "bytes 0-1/10"),
    (b"bytes=10-", None, "bytes */10"),
    (b"bytes=10-10", None, "bytes */10"),
    (b"bytes=18446744073709551616-", None, "bytes */10"),
    (b"bytes=-0", None, "bytes */10"),
    (b"bytes=0-0,2-3", DIGITS, None),
    (b"bytes=0-0, -1", DIGITS, None),
    (b"bytes=5-4", DIGITS, None),
    (b"bytes=-", DIGITS, None),
    (b"bytes=x-", DIGITS, None),
    (b"bytes", DIGITS, None),
    (b"lines=0-1", DIGITS, None),
    (b"", DIGITS, None),
]


def patch(path, body=b"", *lines):
    return put(path, body, *lines, method=b"PATCH")


class RangeTest(HttpCase):
    def test_a_single_range_is_a_part_and_all_else_the_whole(self):
        etag = self.ask(put(b"/kv/ten", DIGITS, b"Content-Type: text/plain")).headers["etag"]
        for text, body, told in RANGES:
            with self.subTest(text):
                reply = self.ask(get(b"/kv/ten", b"Range: " + text))
                self.assertEqual(reply.status, 416 if body is None else 206 if told else 200)
                self.assertEqual(reply.headers.get("content-range"), told)
                if body is None:
                    self.assertEqual(reply.headers["content-type"], "application/problem+json")
                else:
                    self.assertEqual((reply.body, reply.headers["etag"]), (body, etag))
                    self.assertEqual(reply.headers["accept-ranges"], "bytes")
                    self.assertEqual(reply.headers["content-type"], "text/plain")

    def test_head_has_the_head_of_the_whole(self):
        """Range is defined for GET alone: RFC 9110 section 14.2."""
        self.ask(put(b"/kv/ten", DIGITS))
        for text, _, _ in RANGES:
            reply = self.ask(b"HEAD /kv/ten HTTP/1.1\r\n" + HOST + b"Range: " + text + b"\r\n\r\n", is_head=True)
            self.assertEqual((reply.status, reply.body), (200, b""), text)
            self.assertEqual(reply.headers["content-length"], str(len(DIGITS)), text)
            self.assertNotIn("content-range", reply.headers)
            self.assertEqual(reply.headers["accept-ranges"], "bytes")

    def test_if_range_wants_this_very_version(self):
        etag = self.ask(put(b"/kv/ten", DIGITS)).headers["etag"].encode()
        for tag, status in ((etag, 206), (b"W/" + etag, 200), (b'"1"', 200), (b"*", 200), (etag[1:-1], 200),
                            (etag + b", " + etag, 200), (b"Sun, 06 Nov 1994 08:49:37 GMT", 200), (b'"', 200)):
            reply = self.ask(get(b"/kv/ten", b"Range: bytes=1-2", b"If-Range: " + tag))
            self.assertEqual((reply.status, reply.body), (status, b"12" if status == 206 else DIGITS), tag)
        self.assertEqual(self.ask(get(b"/kv/ten", b"Range: bytes=99-", b'If-Range: "1"')).status, 200)
        self.assertEqual(self.ask(get(b"/kv/ten", b"Range: bytes=1-2", b"If-None-Match: " + etag)).status, 304)
        self.assertEqual(self.ask(get(b"/kv/ten", b"If-Range: " + etag)).status, 200)

    def test_ranges_of_large_values_are_those_bytes(self):
        body = os.urandom(5 << 20)
        self.ask(put(b"/kv/large", body))
        client = self.open()
        for first, last in ((0, 0), (1, 16383), (1, 16384), (1, 16385), (4000000, (5 << 20) - 1), (3, 5 << 20),
                            ((5 << 20) - 1, (5 << 20) - 1), (100, 3000099)):
            client.send(get(b"/kv/large", b"Range: bytes=%d-%d" % (first, last)))
            reply = client.reply()
            self.assertEqual((reply.status, reply.body == body[first:last + 1]), (206, True), (first, last))

    def test_empty_value_has_no_range(self):
        self.ask(put(b"/kv/empty", b""))
        reply = self.ask(get(b"/kv/empty", b"Range: bytes=0-"))
        self.assertEqual((reply.status, reply.headers["content-range"]), (416, "bytes */0"))

    def test_curl_resumes_a_download(self):
        body = os.urandom(200000)
        self.ask(put(b"/kv/resume", body))
        self.assertEqual(self.curl("-r", "150000-", f"{self.url}/kv/resume"), body[150000:])
        self.assertEqual(self.curl("-C", "199999", f"{self.url}/kv/resume"), body[199999:])


class PatchTest(HttpCase):
    options = ("--max-value", "1mb")

    def test_incr_adds_and_answers_the_sum(self):
        self.ask(put(b"/kv/n", b"", method=b"DELETE"))
        for query, number in ((b"incr=5", b"5"), (b"incr=-7", b"-2"), (b"incr", b"-1"), (b"incr=0", b"-1"),
                              (b"incr=%31", b"0")):
            reply = self.ask(patch(b"/kv/n?" + query))
            self.assertEqual((reply.status, reply.body), (200, number))
            self.assertEqual(reply.headers["content-type"], "text/plain; charset=utf-8")
            self.assertEqual(self.ask(get(b"/kv/n")).headers["etag"], reply.headers["etag"])
            self.assertEqual(self.server.resp("GET", "n"), number)

    def test_what_cannot_be_added_changes_nothing(self):
        rows = ((b"abc", b"incr=1", 400), (b"1.5", b"incr=1", 400), (b" 1", b"incr=1", 400), (b"", b"incr=1", 400),
                (b"9223372036854775807", b"incr=1", 400), (b"-9223372036854775808", b"incr=-1", 400),
                (b"1", b"incr=x", 400), (b"1", b"incr=", 400), (b"1", b"incr=9223372036854775808", 400),
                (b"1", b"incr=1.5", 400), (b"1", b"incr=1&incr=2", 400), (b"1", b"incr=1&append", 400),
                (b"1", b"incr=1&ttl=5", 400), (b"1", b"", 400), (b"1", b"append=0", 400), (b"1", b"incr=%zz", 400))
        for value, query, status in rows:
            etag = self.ask(put(b"/kv/bad", value)).headers["etag"]
            reply = self.ask(patch(b"/kv/bad?" + query))
            self.assertEqual(reply.status, status, (value, query))
            self.assertEqual(json.loads(reply.body)["status"], status)
            now = self.ask(get(b"/kv/bad"))
            self.assertEqual((now.body, now.headers["etag"]), (value, etag))
        self.assertEqual(self.ask(patch(b"/kv/bad?incr=1", b"body")).status, 400)
        self.assertEqual(self.ask(patch(b"/kv/bad?incr=1", b"", b"TTL: 5")).status, 400)

    def test_append_answers_the_length(self):
        self.ask(put(b"/kv/log", b"", method=b"DELETE"))
        whole = b""
        for piece in (b"a", b"", b"\r\n\0", os.urandom(20000), os.urandom(300000), b"end"):
            whole += piece
            reply = self.ask(patch(b"/kv/log?append", piece))
            self.assertEqual((reply.status, reply.body), (200, b"%d" % len(whole)))
            now = self.ask(get(b"/kv/log"))
            self.assertEqual((now.body == whole, now.headers["etag"]), (True, reply.headers["etag"]))
        chunked = b"PATCH /kv/log?append HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        chunked += b"3\r\n+++\r\n0\r\n\r\n"
        self.assertEqual(self.ask(chunked).body, b"%d" % (len(whole) + 3))

    def test_append_up_to_max_value_and_no_further(self):
        self.ask(put(b"/kv/full", b"x" * ((1 << 20) - 1)))
        self.assertEqual(self.ask(patch(b"/kv/full?append", b"yz")).status, 413)
        self.assertEqual(self.ask(patch(b"/kv/full?append", b"y")).body, b"%d" % (1 << 20))
        self.assertEqual(self.ask(patch(b"/kv/full?append", b"z")).status, 413)
        self.assertEqual(self.ask(patch(b"/kv/other?append", b"z" * ((1 << 20) + 1))).status, 413)

    def test_ttl_and_type_stay(self):
        self.ask(put(b"/kv/kept?ttl=100", b"1", b"Content-Type: text/x-number"))
        self.ask(patch(b"/kv/kept?incr=1", b"", b"Content-Type: text/plain"))
        self.ask(patch(b"/kv/kept?append", b"0", b"Content-Type: text/plain"))
        reply = self.ask(get(b"/kv/kept"))
        self.assertEqual((reply.body, reply.headers["content-type"]), (b"20", "text/x-number"))
        self.assertIn(int(reply.headers["ttl"]), (99, 100))

    def test_conditions_are_judged_by_the_state_that_changes(self):
        etag = self.ask(put(b"/kv/if", b"1")).headers["etag"].encode()
        new = self.ask(patch(b"/kv/if?incr=1", b"", b"If-Match: " + etag))
        self.assertEqual((new.status, new.body), (200, b"2"))
        lost = self.ask(patch(b"/kv/if?incr=1", b"", b"If-Match: " + etag))
        self.assertEqual((lost.status, lost.headers["etag"]), (412, new.headers["etag"]))
        self.assertEqual(self.ask(patch(b"/kv/if?append", b"x", b"If-None-Match: *")).status, 412)
        self.assertEqual(self.ask(patch(b"/kv/if?append", b"x", b"If-Match: nonsense")).status, 400)
        self.assertEqual(self.ask(patch(b"/kv/nothing?incr=1", b"", b"If-Match: *")).status, 412)
        self.assertEqual(self.ask(get(b"/kv/nothing")).status, 404)
        self.assertEqual(self.ask(patch(b"/kv/nothing?incr=1", b"", b"If-None-Match: *")).body, b"1")

    def test_no_increment_is_lost_among_rivals(self):
        self.ask(put(b"/kv/rivals", b"0"))

        def add():
            client = self.open()
            for _ in range(20):
                client.send(patch(b"/kv/rivals?incr=1") * 50)
                for _ in range(50):
                    self.assertEqual(client.reply().status, 200)

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.ask(get(b"/kv/rivals")).body, b"4000")

    def test_form_of_files_and_codings_are_refused(self):
        for line in (b"Content-Type: multipart/form-data; boundary=x", b"Content-Encoding: gzip"):
            self.assertEqual(self.ask(patch(b"/kv/form?append", b"x", line)).status, 415)
        self.assertEqual(self.curl("-X", "PATCH", "-d", "hello", f"{self.url}/kv/form?append"), b"5")


if __name__ == "__main__":
    unittest.main(verbosity=1)
