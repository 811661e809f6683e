#!/usr/bin/env python3
"""test_http_table.py - RFC 9110 and 9112 as a table: bytes in, statuses and the connection's state out.

Every row is sent whole, and cut in two at every byte: as many connections as the row has bytes send the first part, the
server is known to have read them all (two round trips on another connection, on the one loop), and then they send the
rest. Long rows are cut at some places, and come byte by byte as well. What holds for all: an error is problem+json, a
405 has Allow, a reply has a Date, and the status of a request that is whole is one that /openapi.json has for it."""
import email.utils
import json
import re
import unittest

from http_client import HOST, Client, HttpCase, get, put

OPEN, CLOSED = "open", "closed"
LONG = 1500  # bytes from which a row is not cut everywhere
CROWD = 400  # connections at a time


def line(text, *lines):
    """A request line of one's own with Host behind it."""
    return text + b"\r\n" + HOST + b"".join(each + b"\r\n" for each in lines) + b"\r\n"


def field(text):
    return b"GET /healthz HTTP/1.1\r\n" + HOST + text + b"\r\n\r\n"


def host(text):
    return b"GET /healthz HTTP/1.1\r\nHost:" + text + b"\r\n\r\n"


def body(lines, data, method=b"PUT", version=b"1.1"):
    return method + b" /kv/t HTTP/" + version + b"\r\n" + HOST + lines + b"\r\n\r\n" + data


def chunked(data):
    return body(b"Transfer-Encoding: chunked", data)


PING = get(b"/healthz")
OK = [200]
BAD = [400]
FINE = (200, 201, 204, (201, 204))

# (what is said, answers - (400, 501) is one of the two -, state) of lists that share a way to be put into a request
REQUEST_LINES = [
    (b"GET /healthz HTTP/1.1", OK, OPEN),
    (b"GET /healthz HTTP/1.0", OK, CLOSED),
    (b"HEAD /healthz HTTP/1.1", OK, OPEN),
    (b"get /healthz HTTP/1.1", [501], CLOSED),
    (b"BREW /healthz HTTP/1.1", [501], CLOSED),
    (b"GETT /healthz HTTP/1.1", [501], CLOSED),
    (b"PROPFIND / HTTP/1.1", [501], CLOSED),
    (b"G(T /healthz HTTP/1.1", BAD, CLOSED),
    (b"GET  /healthz HTTP/1.1", BAD, CLOSED),
    (b"GET /healthz  HTTP/1.1", BAD, CLOSED),
    (b" GET /healthz HTTP/1.1", BAD, CLOSED),
    (b"GET\t/healthz HTTP/1.1", BAD, CLOSED),
    (b"GET /healthz\tHTTP/1.1", BAD, CLOSED),
    (b"GET /healthz HTTP/1.1 ", BAD, CLOSED),
    (b"GET /healthz HTTP/1.1x", BAD, CLOSED),
    (b"GET /healthz", BAD, CLOSED),
    (b"GET", BAD, CLOSED),
    (b"GET ", BAD, CLOSED),
    (b"GET /healthz HTTP", BAD, CLOSED),
    (b"GET /healthz HTTP/", BAD, CLOSED),
    (b"GET /healthz HTTP/1", BAD, CLOSED),
    (b"GET /healthz HTTP/1.", BAD, CLOSED),
    (b"GET /healthz HTTP/.1", BAD, CLOSED),
    (b"GET /healthz HTTP/01.1", BAD, CLOSED),
    (b"GET /healthz HTTP/1.01", BAD, CLOSED),
    (b"GET /healthz HTTP/1,1", BAD, CLOSED),
    (b"GET /healthz HTTP/1.1.1", BAD, CLOSED),
    (b"GET /healthz HTTP/a.b", BAD, CLOSED),
    (b"GET /healthz http/1.1", BAD, CLOSED),
    (b"GET /healthz HTTPS/1.1", BAD, CLOSED),
    (b"GET /healthz HTTP/0.9", BAD, CLOSED),
    (b"GET /healthz HTTP/1.2", [505], CLOSED),
    (b"GET /healthz HTTP/1.9", [505], CLOSED),
    (b"GET /healthz HTTP/2.0", [505], CLOSED),
    (b"GET /healthz HTTP/3.0", [505], CLOSED),
    (b"GET /healthz HTTP/9.9", [505], CLOSED),
    (b"GET healthz HTTP/1.1", BAD, CLOSED),
    (b"GET * HTTP/1.1", BAD, CLOSED),
    (b"PUT /kv/k HTTP/1.1", [411], OPEN),
    (b"POST /kv/k HTTP/1.1", [411], OPEN),
    (b"PUT /kv/k HTTP/1.0", [411], CLOSED),
    (b"OPTIONS * HTTP/1.1", [204], OPEN),
    (b"OPTIONS /kv/k HTTP/1.1", [204], OPEN),
    (b"OPTIONS /none HTTP/1.1", [404], OPEN),
    (b"TRACE /kv/k HTTP/1.1", [405], OPEN),
    (b"CONNECT localhost:80 HTTP/1.1", [405], OPEN),
    (b"CONNECT /kv/k HTTP/1.1", BAD, CLOSED),
    (b"CONNECT localhost HTTP/1.1", BAD, CLOSED),
    (b"GET localhost:80 HTTP/1.1", BAD, CLOSED),
    (b"GET http://localhost/healthz HTTP/1.1", OK, OPEN),
    (b"GET HTTP://LOCALHOST/healthz HTTP/1.1", OK, OPEN),
    (b"GET http://localhost:7/healthz HTTP/1.0", OK, CLOSED),
    (b"GET http://localhost HTTP/1.1", OK, OPEN),
    (b"GET http://evil.example/healthz HTTP/1.1", [403], OPEN),
    (b"GET http:///healthz HTTP/1.1", BAD, CLOSED),
    (b"GET ftp://localhost/healthz HTTP/1.1", BAD, CLOSED),
    (b"GET http:/healthz HTTP/1.1", BAD, CLOSED),
    (b"GET //healthz HTTP/1.1", [404], OPEN),
    (b"GET /healthz/ HTTP/1.1", [404], OPEN),
    (b"GET /HEALTHZ HTTP/1.1", [404], OPEN),
    (b"GET /healthz? HTTP/1.1", OK, OPEN),
    (b"GET /healthz?a=%zz HTTP/1.1", OK, OPEN),
    (b"GET /health\x7fz HTTP/1.1", BAD, CLOSED),
    (b"GET /health\x80z HTTP/1.1", BAD, CLOSED),
    (b"GET /health\x00z HTTP/1.1", BAD, CLOSED),
    (b"GET /health\x0bz HTTP/1.1", BAD, CLOSED),
    (b"GET /health\rz HTTP/1.1", BAD, CLOSED),
    (b"PRI * HTTP/2.0", [505], CLOSED),
    (b"GET /kv/a%zz HTTP/1.1", BAD, OPEN),
    (b"GET /kv/% HTTP/1.1", BAD, OPEN),
    (b"GET /kv/%2 HTTP/1.1", BAD, OPEN),
    (b"GET /kv/%%41 HTTP/1.1", BAD, OPEN),
    (b"GET /kv/%00 HTTP/1.1", [404], OPEN),
    (b"GET /kv/a%2Fb HTTP/1.1", [404], OPEN),
    (b"GET /kv/100%25 HTTP/1.1", [404], OPEN),
    (b"GET /kv/../healthz HTTP/1.1", [404], OPEN),
    (b"GET /kv/%2e%2e/healthz HTTP/1.1", [404], OPEN),
    (b"GET /./healthz HTTP/1.1", [404], OPEN),
    (b"GET /kv/a//b/../c HTTP/1.1", [404], OPEN),
    (b"GET /kv/{a}|\\^`\"<> HTTP/1.1", [404], OPEN),
]

FIELDS = [
    (b"X: y", OK, OPEN),
    (b"X:y", OK, OPEN),
    (b"X:", OK, OPEN),
    (b"X: \t y \t ", OK, OPEN),
    (b"!#$%&'*+-.^_`|~09azAZ: v", OK, OPEN),
    (b"X: \xff\x80", OK, OPEN),
    (b"X: a\tb", OK, OPEN),
    (b"X: \"quoted, ;text\"", OK, OPEN),
    (b"X: y\r\nX: z", OK, OPEN),
    (b"X : y", BAD, CLOSED),
    (b"X\t: y", BAD, CLOSED),
    (b": y", BAD, CLOSED),
    (b"X", BAD, CLOSED),
    (b" X: y", BAD, CLOSED),
    (b"\tX: y", BAD, CLOSED),
    (b"X: a\r\n b", BAD, CLOSED),
    (b"X: a\r\n\tb", BAD, CLOSED),
    (b"X: a\r\n ", BAD, CLOSED),
    (b"X\x00: y", BAD, CLOSED),
    (b"X: a\x00b", BAD, CLOSED),
    (b"X: a\x01b", BAD, CLOSED),
    (b"X: a\x7fb", BAD, CLOSED),
    (b"X: a\rb", BAD, CLOSED),
    (b"X: a\nY: b", BAD, CLOSED),
    (b"X: a\r\r\nY: b", BAD, CLOSED),
    (b"X(Y): z", BAD, CLOSED),
    (b"X{Y: z", BAD, CLOSED),
    (b"X@Y: z", BAD, CLOSED),
    (b"X/Y: z", BAD, CLOSED),
    (b"X\xc3\xa9: z", BAD, CLOSED),
    (b"X Y: z", BAD, CLOSED),
    (b"Host: localhost", BAD, CLOSED),
    (b"hOsT: other", BAD, CLOSED),
    (b"Origin: a\r\nOrigin: b", BAD, CLOSED),
    (b"Content-Type: a\r\nContent-Type: b", BAD, CLOSED),
    (b"Connection: close", OK, CLOSED),
    (b"Connection: CLOSE", OK, CLOSED),
    (b"Connection: x, close , y", OK, CLOSED),
    (b"Connection: x\r\nConnection: close", OK, CLOSED),
    (b"Connection: keep-alive, close", OK, CLOSED),
    (b"Connection: closed", OK, OPEN),
    (b"Connection: keep-alive", OK, OPEN),
    (b"Connection:", OK, OPEN),
    (b"Connection: Upgrade\r\nUpgrade: websocket", OK, OPEN),
    (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", OK, OPEN),
    (b"Upgrade: TLS/1.0, HTTP/2.0", OK, OPEN),
    (b"Expect: 100-continue", OK, OPEN),
    (b"Expect: 200-maybe", [417], CLOSED),
    (b"TE: trailers\r\nTrailer: X", OK, OPEN),
    (b"Content-Length: 0", OK, OPEN),
    (b"Transfer-Encoding-X: chunked", OK, OPEN),
    (b"X-Content-Length: 5", OK, OPEN),
    (b"Content_Length: 5", OK, OPEN),
]

HOSTS = [
    (b" 127.0.0.1", OK, OPEN),
    (b"localhost", OK, OPEN),
    (b" [::1]:80", OK, OPEN),
    (b" strobe:7172", OK, OPEN),
    (b" localhost:", OK, OPEN),
    (b" LocalHost.", OK, OPEN),
    (b" evil.example", [403], OPEN),
    (b" 127.0.0.1.nip.io", [403], OPEN),
    (b" a b", BAD, None),
    (b" a, b", BAD, None),
    (b" a/b", BAD, None),
    (b" user@localhost", BAD, None),
    (b" localhost:99999", BAD, None),
    (b" localhost:8a", BAD, None),
    (b" [::1", BAD, None),
    (b" [::g]", BAD, None),
    (b" http://localhost", BAD, None),
]

# a body of three bytes, "abc", behind them
LENGTHS = [
    (b"Content-Length: 3", [201], OPEN),
    (b"Content-Length:3", [201], OPEN),
    (b"Content-Length:  3 ", [201], OPEN),
    (b"content-LENGTH: 3", [201], OPEN),
    (b"Content-Length: 03", [201], OPEN),
    (b"Content-Length: +3", BAD, CLOSED),
    (b"Content-Length: -3", BAD, CLOSED),
    (b"Content-Length: 3, 3", BAD, CLOSED),
    (b"Content-Length: 3 3", BAD, CLOSED),
    (b"Content-Length: 0x3", BAD, CLOSED),
    (b"Content-Length: 3.0", BAD, CLOSED),
    (b"Content-Length: 3;", BAD, CLOSED),
    (b"Content-Length:", BAD, CLOSED),
    (b"Content-Length: x", BAD, CLOSED),
    (b"Content-Length: \"3\"", BAD, CLOSED),
    (b"Content-Length: 3\x0b", BAD, CLOSED),
    (b"Content-Length: 18446744073709551619", BAD, CLOSED),
    (b"Content-Length: 99999999999999999999", BAD, CLOSED),
    (b"Content-Length: 9223372036854775807", [413], CLOSED),
    (b"Content-Length: 536870913", [413], CLOSED),
    (b"Content-Length: 3\r\nContent-Length: 3", BAD, CLOSED),
    (b"Content-Length: 3\r\nContent-Length: 4", BAD, CLOSED),
    (b"Content-Length: 3\r\nTransfer-Encoding: chunked", BAD, CLOSED),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 3", BAD, CLOSED),
    (b"Content-Length: 3\r\nTransfer-Encoding: identity", BAD, CLOSED),
    (b"Content-Length : 3", BAD, CLOSED),
    (b" Content-Length: 3", BAD, CLOSED),
    (b"Content-Length\x00: 3", BAD, CLOSED),
]

# a chunk of three bytes and the last behind them
CODINGS = [
    (b"Transfer-Encoding: chunked", [201], OPEN),
    (b"Transfer-Encoding: Chunked", [201], OPEN),
    (b"transfer-encoding:chunked", [201], OPEN),
    (b"Transfer-Encoding: \tchunked  ", [201], OPEN),
    (b"Transfer-Encoding: chunked\t", BAD, CLOSED),  # a tab behind it: http-parser would see another coding
    (b"Transfer-Encoding: gzip, chunked", [501], CLOSED),
    (b"Transfer-Encoding: chunked, gzip", [501], CLOSED),
    (b"Transfer-Encoding: gzip", [501], CLOSED),
    (b"Transfer-Encoding: identity", [501], CLOSED),
    (b"Transfer-Encoding: xchunked", [501], CLOSED),
    (b"Transfer-Encoding: chunkedx", [501], CLOSED),
    (b"Transfer-Encoding: \"chunked\"", BAD, CLOSED),
    (b"Transfer-Encoding: chunked;q=1", BAD, CLOSED),
    (b"Transfer-Encoding: chunked, chunked", BAD, CLOSED),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", BAD, CLOSED),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", [(400, 501)], CLOSED),
    (b"Transfer-Encoding:", [(400, 501)], CLOSED),
    (b"Transfer-Encoding: ,chunked", [(400, 501)], CLOSED),
    (b"Transfer-Encoding : chunked", BAD, CLOSED),
    (b"Transfer-Encoding: \x0bchunked", BAD, CLOSED),
    (b"Transfer-Encoding:\r\n chunked", BAD, CLOSED),
    (b"Transfer\tEncoding: chunked", BAD, CLOSED),
]

CHUNKS = [
    (b"003\r\nabc\r\n0\r\n\r\n", [201], OPEN),
    (b"0003\r\nabc\r\n000\r\n\r\n", [201], OPEN),
    (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", [201], OPEN),
    (b"a\r\n0123456789\r\n0\r\n\r\n", [201], OPEN),
    (b"A\r\n0123456789\r\n0\r\n\r\n", [201], OPEN),
    (b"0\r\n\r\n", [201], OPEN),
    (b"3;x\r\nabc\r\n0\r\n\r\n", [201], OPEN),
    (b"3;x=y;z=\"q;\\\"\"\r\nabc\r\n0;last\r\n\r\n", [201], OPEN),
    (b"3;" + b"x" * 255 + b"\r\nabc\r\n0\r\n\r\n", [201], OPEN),
    (b"3;" + b"x" * 256 + b"\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3 \r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b" 3\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"\t3\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"0x3\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"+3\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"-3\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3_\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"g\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b";x\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3\rabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3;x\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3;\x01\r\nabc\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3\r\nabcd\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3\r\nab\r\n0\r\n\r\n", BAD, CLOSED),
    (b"3\r\nabc\n0\r\n\r\n", BAD, CLOSED),
    (b"3\r\nabc0\r\n\r\n", BAD, CLOSED),
    (b"ffffffffffffffff\r\nabc", [(400, 413)], CLOSED),
    (b"fffffffffffffffff\r\nabc", [(400, 413)], CLOSED),
    (b"20000001\r\nabc", [413], CLOSED),
    (b"3\r\nabc\r\n0\r\nX: y\r\nZ: w\r\n\r\n", [201], OPEN),
    (b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: x\r\n\r\n", [201], OPEN),
    (b"3\r\nabc\r\n0\r\nX : y\r\n\r\n", BAD, CLOSED),
    (b"3\r\nabc\r\n0\r\nX: y\n\r\n", BAD, CLOSED),
    (b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", BAD, CLOSED),
    (b"3\r\nabc\r\n0\r\nX: \x01\r\n\r\n", BAD, CLOSED),
    (b"3\r\nabc\r\n0\r\n\n", BAD, CLOSED),
    (b"3\r\nabc\r\n0\n\n", BAD, CLOSED),
]

T = put(b"/kv/t", b"", method=b"DELETE")  # leaves the key of the rows as they found it

# name, bytes, answers, state
WHOLE = [
    ("two requests", PING + get(b"/kv/none"), [200, 404], OPEN),
    ("a get with a body that is a request", put(b"/kv/none", PING, method=b"GET") + PING, [404, 200], OPEN),
    ("a length that hides a request", put(b"/kv/t", b"GET /none HTTP/1.1\r\n\r\n") + T, [201, 204], OPEN),
    ("a chunk that hides a request", chunked(b"16\r\nGET /none HTTP/1.1\r\n\r\n\r\n0\r\n\r\n") + T, [201, 204], OPEN),
    ("a last chunk before a request", chunked(b"0\r\n\r\n" + PING) + T, [201, 200, 204], OPEN),
    ("length and chunks, a request behind",
     body(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + PING), BAD, CLOSED),
    ("chunks on 1.0", body(b"Transfer-Encoding: chunked", b"0\r\n\r\n", version=b"1.0"), BAD, CLOSED),
    ("a length on 1.0", body(b"Content-Length: 1", b"a", version=b"1.0") + T, [201], CLOSED),
    ("a length on 1.0 that stays", body(b"Content-Length: 1\r\nConnection: keep-alive", b"a", version=b"1.0") + T,
     [(201, 204), 204], OPEN),
    ("1.0 without a host", b"GET /healthz HTTP/1.0\r\n\r\n", OK, CLOSED),
    ("1.0 that stays", b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", OK, OPEN),
    ("1.0 with both", b"GET /healthz HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", OK, CLOSED),
    ("1.0 with two hosts", b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", BAD, CLOSED),
    ("1.1 without a host", b"GET /healthz HTTP/1.1\r\n\r\n", BAD, CLOSED),
    ("1.1 without a host, absolute", b"GET http://localhost/healthz HTTP/1.1\r\n\r\n", BAD, CLOSED),
    ("nothing behind close", get(b"/healthz", b"Connection: close") + PING, OK, CLOSED),
    ("nothing behind an error that closes", field(b"X : y") + PING, BAD, CLOSED),
    ("an empty line before", b"\r\n" + PING, OK, OPEN),
    ("empty lines between", PING + b"\r\n\r\n" + PING, [200, 200], OPEN),
    ("a bare line feed before", b"\n" + PING, BAD, CLOSED),
    ("bare line feeds", b"GET /healthz HTTP/1.1\nHost: localhost\n\n", BAD, CLOSED),
    ("a bare line feed at the end", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n", BAD, CLOSED),
    ("a line feed that ends the request line", b"GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n", BAD, CLOSED),
    ("0.9", b"GET /healthz\r\n\r\n", BAD, CLOSED),
    ("the preface of http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [(400, 505)], CLOSED),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD, CLOSED),
    ("an array of resp", b"*1\r\n$4\r\nPING\r\n", BAD, CLOSED),
    ("a line of resp", b"PING\r\n", BAD, CLOSED),
    ("a byte that is none", b"\x00", BAD, CLOSED),
    ("head of a key", put(b"/kv/t", b"abc") + line(b"HEAD /kv/t HTTP/1.1") + T, [201, 200, 204], OPEN),
    ("head of what is not there", line(b"HEAD /kv/none HTTP/1.1") + PING, [404, 200], OPEN),
    ("head of a range", put(b"/kv/t", b"abc") + line(b"HEAD /kv/t HTTP/1.1", b"Range: bytes=1-") + T,
     [201, 200, 204], OPEN),
    ("a range", put(b"/kv/t", b"abc") + get(b"/kv/t", b"Range: bytes=0-0") + T, [201, 206, 204], OPEN),
    ("a range behind the end", put(b"/kv/t", b"abc") + get(b"/kv/t", b"Range: bytes=3-") + T, [201, 416, 204], OPEN),
    ("two ranges", put(b"/kv/t", b"abc") + get(b"/kv/t", b"Range: bytes=0-0,2-2") + T, [201, 200, 204], OPEN),
    ("not modified", put(b"/kv/t", b"abc") + get(b"/kv/t", b"If-None-Match: *") + T, [201, 304, 204], OPEN),
    ("a condition that fails", put(b"/kv/t", b"abc", b'If-Match: "1"'), [412], OPEN),
    ("a condition that is none", put(b"/kv/t", b"abc", b"If-Match: 1"), BAD, OPEN),
    ("written once", put(b"/kv/t", b"a") + put(b"/kv/t", b"b", b"If-None-Match: *") + T, [201, 412, 204], OPEN),
    ("patch", put(b"/kv/t?append", b"a", method=b"PATCH") + put(b"/kv/t?incr=1", b"", method=b"PATCH") + T,
     [200, 400, 204], OPEN),
    ("a batch", put(b"/batch", b'["PING"]\n', method=b"POST") + PING, [200, 200], OPEN),
    ("a batch that is none", put(b"/batch", b'[["PING"]', method=b"POST"), BAD, OPEN),
    ("get of the batch", get(b"/batch"), [405], OPEN),
    ("put on the list", put(b"/kv/", b"a"), [405], OPEN),
    ("delete of the list", put(b"/kv/", b"", method=b"DELETE"), BAD, OPEN),
    ("a foreign page writes", put(b"/kv/t", b"a", b"Origin: http://evil.example"), [403], OPEN),
    ("a form of files", put(b"/kv/t", b"a", b"Content-Type: multipart/form-data; boundary=b"), [415], OPEN),
    ("expect with a body", put(b"/kv/t", b"abc", b"Expect: 100-continue") + T, [201, 204], OPEN),
    ("expect in capitals", put(b"/kv/t", b"abc", b"Expect: 100-Continue") + T, [201, 204], OPEN),
    ("expect on 1.0", body(b"Content-Length: 1\r\nExpect: 100-continue\r\nConnection: keep-alive", b"a",
                           version=b"1.0") + T, [201, 204], OPEN),
    ("expect more", put(b"/kv/t", b"abc", b"Expect: 100-continue, coffee"), [417], CLOSED),
    ("a key of no bytes", put(b"/kv/", b"", method=b"POST"), [405], OPEN),
    ("a key of a NUL", put(b"/kv/t%00", b"a") + put(b"/kv/t%00", b"", method=b"DELETE"), [201, 204], OPEN),
    ("a key of a slash", put(b"/kv/t%2F", b"a") + put(b"/kv/t/", b"", method=b"DELETE"), [201, 204], OPEN),
    ("a key of a percent sign", put(b"/kv/t%25", b"a") + put(b"/kv/t%25", b"", method=b"DELETE"), [201, 204], OPEN),
    ("a key of dots", put(b"/kv/t/../x", b"a") + put(b"/kv/t/%2E%2e/x", b"", method=b"DELETE"), [201, 204], OPEN),
    ("a hundred with errors among them", b"".join(get(b"/healthz") + get(b"/kv/%zz") + get(b"/kv/none") + get(b"/none")
                                                  for _ in range(25)), [200, 400, 404, 404] * 25, OPEN),
    ("a hundred and an end among them", PING * 50 + get(b"/kv/none", b"Connection: close") + PING * 49,
     [200] * 50 + [404], CLOSED),
    ("a hundred and a fault among them", PING * 50 + field(b"X : y") + PING * 49, [200] * 50 + [400], CLOSED),
    ("a hundred fields", get(b"/healthz", *[b"X: y"] * 99), OK, OPEN),
    ("a hundred and one fields", get(b"/healthz", *[b"X: y"] * 100), [431], CLOSED),
    ("fields of 16 KiB", field(b"X: " + b"y" * (16384 - len(HOST) - 7)), OK, OPEN),
    ("fields of 16 KiB and a byte", field(b"X: " + b"y" * (16384 - len(HOST) - 6)), [431], CLOSED),
    ("trailers of 8 KiB", chunked(b"1\r\na\r\n0\r\nX: " + b"y" * (8192 - 5) + b"\r\n\r\n") + T, [201, 204], OPEN),
    ("trailers of 8 KiB and a byte", chunked(b"1\r\na\r\n0\r\nX: " + b"y" * (8192 - 4) + b"\r\n\r\n"),
     [(400, 431)], CLOSED),
    ("the longest key", get(b"/kv/" + b"k" * 65535), [404], OPEN),
    ("a key too long", get(b"/kv/" + b"k" * 65536), [414], OPEN),
    ("the longest target", get(b"/" + b"x" * (8192 + 3 * 65535 - 1)), [404], OPEN),
    ("a target too long", get(b"/" + b"x" * (8192 + 3 * 65535)), [414], CLOSED),
]


def rows():
    lists = ((REQUEST_LINES, line), (FIELDS, field), (HOSTS, host),
             (LENGTHS, lambda said: body(said, b"abc")),
             (CODINGS, lambda said: body(said, b"3\r\nabc\r\n0\r\n\r\n")), (CHUNKS, chunked))
    for some, request in lists:
        for said, statuses, state in some:
            data = request(said)
            if statuses == [201]:  # leave no key behind
                data, statuses = data + T, [201, 204]
            yield repr(said), data, statuses, state
    yield from WHOLE


def keyed(data, number):
    """The row with a key of its own, of one length for all numbers."""
    return data.replace(b"/kv/t", b"/kv/t%06d" % number)


def is_early(data, statuses):
    """May an error be told before the body has come, so that it depends on the cut whether the connection stays?"""
    return any(status not in FINE for status in statuses) and re.search(rb"Content-Length: *[1-9]", data)


class TableTest(HttpCase):
    options = ("--threads", "1", "--max-clients", "5000")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.paths = json.loads(HttpCase.ask(cls, get(b"/openapi.json")).body)["paths"]
        cls.pinger = Client(cls.port)

    @classmethod
    def tearDownClass(cls):
        cls.pinger.close()
        super().tearDownClass()

    def settle(self):
        """When this returns the server has read all that was sent before."""
        for _ in range(2):
            self.pinger.send(PING)
            self.pinger.reply()

    def check_reply(self, reply, is_head):
        self.assertIsNotNone(email.utils.parsedate(reply.headers["date"]))
        if reply.status >= 400:
            self.assertEqual(reply.headers["content-type"], "application/problem+json")
            self.assertEqual("allow" in reply.headers, reply.status == 405)
            if not is_head:
                problem = json.loads(reply.body)
                self.assertEqual(problem["status"], reply.status)
                self.assertRegex(problem["detail"], r"^\S.*[^.]\.$")

    def check(self, client, row, is_cut):
        """Reads the answers that the row says."""
        _, data, statuses, state = row
        heads = [each == b"HEAD" for each in re.findall(rb"([A-Z]{3,7}) \S* HTTP/1\.[01]\r", data)]
        if is_cut and is_early(data, statuses):
            end = next(i for i, status in enumerate(statuses) if status not in FINE)
            statuses, state = statuses[:end + 1], None
        for i, wanted in enumerate(statuses):
            is_head = i < len(heads) and heads[i]
            reply = client.reply(is_head)
            while reply.status == 100:
                reply = client.reply(is_head)
            self.assertIn(reply.status, wanted if isinstance(wanted, tuple) else (wanted,), reply)
            self.check_reply(reply, is_head)
            if i == 0 and reply.status < 400:
                self.described(data, reply.status)
        if state == CLOSED:
            self.assertEqual(client.rest(), b"")
        elif state == OPEN:
            client.send(PING)
            self.assertEqual(client.reply().body, b"ok\n")

    def described(self, data, status):
        method, target = re.match(rb"(?:\r\n)*([A-Z]+) (?:(?i:http)://[^/ ]*)?([^ ?]*)", data).groups()
        path = "/kv/{key}" if re.match(rb"/kv/.", target) else target.decode() or "/"
        if path != "*":
            self.assertIn(str(status), self.paths[path][method.decode().lower()]["responses"], (method, path))

    def test_table_is_long_and_has_each_row_once(self):
        table = list(rows())
        self.assertGreaterEqual(len(table), 200)
        self.assertEqual(len({data for _, data, _, _ in table}), len(table))

    def test_rows_sent_whole(self):
        for row in rows():
            with self.subTest(row[0]):
                client = Client(self.port)
                client.send(row[1])
                self.check(client, row, False)
                client.close()

    def cut(self, row, places):
        """A connection for each place, all at once, each with a key of its own."""
        name, data, statuses, state = row
        crowd = []
        try:
            for place in places:
                own = (name, keyed(data, place), statuses, state)
                client = Client(self.port, source=f"127.0.{place % 200 + 1}.{len(crowd) % 200 + 1}")
                crowd.append((place, own, client))
                client.send(own[1][:place])
            self.settle()
            for place, own, client in crowd:
                client.send(own[1][place:])
                with self.subTest(name, cut=place):
                    self.check(client, own, True)
        finally:
            for *_, client in crowd:
                client.close()

    def test_rows_cut_at_every_byte(self):
        for row in rows():
            size = len(keyed(row[1], 0))
            places = list(range(1, size)) if size < LONG else [*range(1, size, size // 40), *range(size - 8, size)]
            for begin in range(0, len(places), CROWD):
                self.cut(row, places[begin:begin + CROWD])

    def test_long_rows_byte_by_byte(self):
        for row in rows():
            if LONG <= len(row[1]) < 20000:
                with self.subTest(row[0]):
                    client = Client(self.port)
                    client.send(row[1], 1)
                    self.check(client, row, True)
                    client.close()


if __name__ == "__main__":
    unittest.main(verbosity=1)
