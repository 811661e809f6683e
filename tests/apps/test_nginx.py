#!/usr/bin/env python3
"""test_nginx.py - the HTTP door behind nginx as a reverse proxy with kept connections."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import http_client
import strobe_test

CONF = """
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
        listen unix:{place}/door;
        location / {{
            proxy_pass http://strobe;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
        }}
    }}
}}
"""


class ProxyClient(http_client.Client):
    """Through nginx, which listens on a Unix socket: no port to find free."""

    def __init__(self, path):
        strobe_test.Client.__init__(self, path)

    def ask(self, data):
        self.send(data)
        return self.reply()


class Nginx(unittest.TestCase):
    def setUp(self):
        self.server = strobe_test.Server()
        self.addCleanup(self.server.stop)
        folder = tempfile.TemporaryDirectory(prefix="strobe-nginx-")
        self.addCleanup(folder.cleanup)
        self.door = os.path.join(folder.name, "door")
        conf = os.path.join(folder.name, "conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(CONF.format(place=folder.name, port=self.server.http_port))
        self.program = subprocess.Popen(["nginx", "-e", "stderr", "-p", folder.name, "-c", conf],
                                        stdin=subprocess.DEVNULL)
        self.addCleanup(self.program.wait)
        self.addCleanup(self.program.terminate)
        self.client = self.connect()

    def connect(self):
        """Once nginx listens."""
        end = time.monotonic() + strobe_test.PATIENCE
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.door)
                break
            except OSError:
                self.assertIsNone(self.program.poll(), "nginx has ended")
                self.assertLess(time.monotonic(), end, "nginx does not listen")
                time.sleep(0.01)
        client = ProxyClient(self.door)
        self.addCleanup(client.close)
        return client

    def test_every_method_and_large_bodies_pass(self):
        value = bytes(range(256)) * 20000
        put = self.client.ask(http_client.put(b"/kv/a%20b/c", value))
        self.assertEqual(put.status, 201)
        got = self.client.ask(http_client.get(b"/kv/a%20b/c"))
        self.assertEqual((got.status, got.body, got.headers["etag"]), (200, value, put.headers["etag"]))
        same = self.client.ask(http_client.get(b"/kv/a%20b/c", b"If-None-Match: " + got.headers["etag"].encode()))
        self.assertEqual(same.status, 304)
        self.client.send(b"HEAD /kv/a%20b/c HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = self.client.reply(is_head=True)
        self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(value))))
        self.assertEqual(self.client.ask(b"DELETE /kv/a%20b/c HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 204)
        self.assertEqual(self.client.ask(http_client.get(b"/kv/a%20b/c")).status, 404)

    def test_a_stream_passes_whole(self):
        count = 3000
        with self.server.client() as client:
            client.send(b"".join(strobe_test.request("SET", f"k{i}", "x" * 200) for i in range(count)))
            for _ in range(count):
                client.reply()
        lines = self.client.ask(http_client.get(b"/kv/?stream&values")).body.splitlines()
        self.assertEqual(lines.pop(), b'{"done":true,"count":%d}' % count)
        self.assertEqual(len(set(lines)), count)

    def test_connections_to_us_are_kept(self):
        for i in range(500):
            self.assertEqual(self.client.ask(http_client.put(b"/kv/%d" % i, b"x")).status, 201)
        metrics = http_client.Client(self.server.http_port)
        self.addCleanup(metrics.close)
        metrics.send(http_client.get(b"/metrics"))
        text = metrics.reply().body.decode()
        opened = re.search(r'(?m)^strobe_connections_accepted_total\{door="http"\} (\d+)$', text)
        self.assertLess(int(opened[1]), 20)


if __name__ == "__main__":
    unittest.main()
