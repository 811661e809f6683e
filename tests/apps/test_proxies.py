#!/usr/bin/env python3
"""test_proxies.py - the HTTP door behind reverse proxies with kept connections: nginx and HAProxy."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import behind
import http_client
import strobe_test

NGINX = """
daemon off;
master_process off;
pid {place}/pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    client_max_body_size 100m;
    upstream strobe {{ server 127.0.0.1:{port}; keepalive 8; }}
    server {{
        listen unix:{door};
        location / {{
            proxy_pass http://strobe;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    http-reuse always
listen strobe
    bind unix@{door}
    server strobe 127.0.0.1:{port}
"""


class Proxies:
    """What holds behind each of them."""
    conf = command = None

    def setUp(self):
        self.server = strobe_test.Server()
        self.addCleanup(self.server.stop)
        self.proxy = behind.Behind(self, self.conf, self.command, port=self.server.http_port)
        self.client = self.connect()

    def connect(self):
        return self.proxy.client(http_client.Client)

    def ask(self, data):
        self.client.send(data)
        return self.client.reply()

    def opened(self):
        """HTTP connections that strobed has taken, with the one that asks."""
        with http_client.Client(self.server.http_port) as metrics:
            metrics.send(http_client.get(b"/metrics"))
            text = metrics.reply().body.decode()
        return int(re.search(r'(?m)^strobe_connections_accepted_total\{door="http"\} (\d+)$', text)[1])

    def test_every_method_and_large_bodies_pass(self):
        value = bytes(range(256)) * 20000
        put = self.ask(http_client.put(b"/kv/a%20b/c", value))
        self.assertEqual(put.status, 201)
        got = self.ask(http_client.get(b"/kv/a%20b/c"))
        self.assertEqual((got.status, got.body, got.headers["etag"]), (200, value, put.headers["etag"]))
        same = self.ask(http_client.get(b"/kv/a%20b/c", b"If-None-Match: " + got.headers["etag"].encode()))
        self.assertEqual(same.status, 304)
        self.client.send(b"HEAD /kv/a%20b/c HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = self.client.reply(is_head=True)
        self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(value))))
        self.assertEqual(self.ask(b"DELETE /kv/a%20b/c HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 204)
        self.assertEqual(self.ask(http_client.get(b"/kv/a%20b/c")).status, 404)

    def test_chunks_pass(self):
        pieces = (b"x" * 70000, b"y", b"z" * 300)
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        head = b"PUT /kv/chunked HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertEqual(self.ask(head + body).status, 201)
        self.assertEqual(self.server.resp("GET", "chunked"), b"".join(pieces))

    def test_keys_pass_as_they_are(self):
        for path, key in ((b"a%2Fb", b"a/b"), (b"%E2%82%AC", "\u20ac".encode()), (b"q%3F", b"q?"),
                          (b"100%25", b"100%")):
            self.assertEqual(self.ask(http_client.put(b"/kv/" + path, key)).status, 201)
            self.assertEqual(self.server.resp("GET", key), key)

    def test_errors_pass_and_leave_the_connection(self):
        for request, status in ((http_client.get(b"/kv/none"), 404), (http_client.get(b"/nowhere"), 404),
                                (http_client.put(b"/kv/k", b"x", b'If-Match: "1"'), 412),
                                (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405)):
            reply = self.ask(request)
            self.assertEqual((reply.status, reply.headers["content-type"]), (status, "application/problem+json"))
        self.assertLess(self.opened(), 6)

    def test_a_stream_passes_whole(self):
        count = 3000
        with self.server.client() as client:
            client.send(b"".join(strobe_test.request("SET", f"k{i}", "x" * 200) for i in range(count)))
            for _ in range(count):
                client.reply()
        lines = self.ask(http_client.get(b"/kv/?stream&values")).body.splitlines()
        self.assertEqual(lines.pop(), b'{"done":true,"count":%d}' % count)
        self.assertEqual(len(set(lines)), count)

    def test_connections_to_us_are_kept(self):
        clients = [self.connect() for _ in range(4)]
        for i in range(500):
            for client in clients:
                client.send(http_client.put(b"/kv/%d" % i, b"x"))
            for client in clients:
                self.assertIn(client.reply().status, (201, 204))
        self.assertLess(self.opened(), 20)


class Nginx(Proxies, unittest.TestCase):
    conf = NGINX
    command = ("nginx", "-e", "stderr", "-p", "{place}", "-c", "{conf}")


class Haproxy(Proxies, unittest.TestCase):
    conf = HAPROXY
    command = ("haproxy", "-q", "-db", "-f", "{conf}")


if __name__ == "__main__":
    unittest.main()
