#!/usr/bin/env python3
"""test_browser.py - Debian's Chromium, headless: pages of an allowed origin read and write, those of others do not, a
stored page cannot run script, and a name that was bound to us anew gets nothing.

A page's script posts what it saw to the server that the page came from: that is what the tests wait for. What a page
looks like after its scripts have run is told by --dump-dom. Each check has a counterpart that shows that the browser
would have done it, had it been allowed."""
import http.server
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import http_client
import strobe_test

PATIENCE = 4 * strobe_test.PATIENCE  # a browser starts in seconds, many processes of it
FOREIGN = "foreign.example"  # both names are this machine to the browser
REBOUND = "rebound.example"
BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1, MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, "
           "EXCLUDE 127.0.0.1")

# what every page's script begins with: steps that may fail, and a report of them all
STEPS = """
const base = location.hash.slice(1), saw = {};
async function step(name, what) {
  try { saw[name] = await what(); } catch (error) { saw[name] = error.name; }
}
const report = () => fetch('/saw', { method: 'POST', body: JSON.stringify(saw) });
"""

ALLOWED = STEPS + """
await step('put', async () => {
  const reply = await fetch(`${base}/kv/page/1`, { method: 'PUT', body: 'one', headers: { TTL: '100' } });
  return [reply.status, reply.headers.get('etag') !== null];
});
await step('get', async () => {
  const reply = await fetch(`${base}/kv/page/1`);
  return [reply.status, await reply.text(), Number(reply.headers.get('ttl')) > 90];
});
await step('swap', async () => {
  const etag = (await fetch(`${base}/kv/page/1`)).headers.get('etag');
  const swap = () => fetch(`${base}/kv/page/1`, { method: 'PUT', body: 'two', headers: { 'If-Match': etag } });
  return [(await swap()).status, (await swap()).status];
});
await step('list', async () => {
  await Promise.all(Array.from({ length: 40 }, (_, i) =>
    fetch(`${base}/kv/many/${i}`, { method: 'PUT', body: `${i}` })));
  const keys = [];
  let next = `${base}/kv/?prefix=many/&limit=15`, pages = 0;
  while (next) {
    const reply = await fetch(next);
    keys.push(...(await reply.json()).keys);
    const link = reply.headers.get('link');
    next = link && new URL(link.match(/^<([^>]+)>/)[1], base);
    pages += 1;
  }
  return [new Set(keys).size, keys.length, pages > 1];
});
await step('stream', async () => {
  const reply = await fetch(`${base}/kv/?prefix=many/&stream&values`);
  let text = '';
  for (const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();;) {
    const { done, value } = await reader.read();
    if (done) return JSON.parse(text.trimEnd().split('\\n').pop());
    text += value;
  }
});
await step('delete', async () => [
  (await fetch(`${base}/kv/page/1`, { method: 'DELETE' })).status, (await fetch(`${base}/kv/page/1`)).status,
]);
await report();
"""

# A foreign page tries every way that a browser has to send something.
FETCHES = STEPS + """
const text = { 'Content-Type': 'text/plain' };
await step('read', async () => (await fetch(`${base}/kv/secret`)).text());
await step('read without asking', async () => {
  const reply = await fetch(`${base}/kv/secret`, { mode: 'no-cors' });
  return [reply.type, await reply.text()];
});
await step('list', async () => (await fetch(`${base}/kv/`)).text());
await step('put', async () => (await fetch(`${base}/kv/secret`, { method: 'PUT', body: 'x' })).status);
await step('delete', async () => (await fetch(`${base}/kv/secret`, { method: 'DELETE' })).status);
await step('post', async () => (await fetch(`${base}/kv/secret`, { method: 'POST', body: 'x', headers: text })).status);
"""
INTRUDER = FETCHES + """
await step('post without asking', async () =>
  (await fetch(`${base}/kv/secret`, { method: 'POST', body: 'x', headers: text, mode: 'no-cors' })).type);
await step('beacon', () => navigator.sendBeacon(`${base}/kv/secret`, 'x'));
await step('form', () => new Promise((sent) => {
  const frame = Object.assign(document.createElement('iframe'), { name: 'into' });
  const form = Object.assign(document.createElement('form'),
    { method: 'post', action: `${base}/kv/secret`, target: 'into', enctype: 'text/plain' });
  form.append(Object.assign(document.createElement('input'), { name: 'x', value: 'y' }));
  document.body.append(frame, form);
  frame.onload = () => sent('sent');
  form.submit();
}));
await step('read in a frame', () => new Promise((told) => {
  const frame = Object.assign(document.createElement('iframe'), { src: `${base}/kv/stored` });
  frame.onload = () => told(frame.contentDocument === null);
  document.body.append(frame);
}));
await report();
"""

STORED = "<!doctype html><title>stored</title><p id=p>as stored</p><script>p.textContent = 'script ran'</script>"
DRAWN = ("<svg xmlns='http://www.w3.org/2000/svg'><text id='p'>as stored</text>"
         "<script>document.getElementById('p').textContent = 'script ran'</script></svg>")


class Pages(http.server.BaseHTTPRequestHandler):
    """Serves the pages above, and takes what they saw."""

    def do_GET(self):
        pages = {"/allowed": ALLOWED, "/intruder": INTRUDER, "/fetches": FETCHES + "await report();"}
        body = STORED if self.path == "/stored" else \
            f"<!doctype html><body><script type=module>{pages.get(self.path, '')}</script>"
        self.answer(200, body.encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.saw.put(json.loads(body))
        self.answer(200, b"thanks")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Browser(unittest.TestCase):
    def setUp(self):
        self.pages = self.serve_pages()
        self.origin = f"http://127.0.0.1:{self.pages.server_port}"
        self.server = strobe_test.Server("--allow-origin", self.origin)
        self.addCleanup(self.server.stop)
        self.base = f"http://127.0.0.1:{self.server.http_port}"
        folder = tempfile.TemporaryDirectory(prefix="strobe-browser-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.browser = (*BROWSER, f"--user-data-dir={folder.name}")

    def serve_pages(self):
        pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        pages.saw = queue.Queue()
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(pages.server_close)
        self.addCleanup(pages.shutdown)
        return pages

    def start(self, *arguments):
        """The browser, which ends with all its processes when the test does."""
        program = subprocess.Popen([*self.browser, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, start_new_session=True)

        def end():
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
        self.addCleanup(end)
        return program

    def visit(self, origin, page):
        """What the script of a page, opened at ORIGIN, saw."""
        self.start(f"{origin}/{page}#{self.base}")
        return self.pages_of(origin).saw.get(timeout=PATIENCE)

    def pages_of(self, origin):
        return self.pages if origin.endswith(f":{self.pages.server_port}") else self.others

    def shown(self, url):
        """A page after its scripts have run, as HTML."""
        program = self.start("--dump-dom", "--virtual-time-budget=2000", url)
        return program.communicate(timeout=PATIENCE)[0].decode()

    def put(self, key, value, kind):
        with http_client.Client(self.server.http_port) as client:
            client.send(http_client.put(b"/kv/" + key.encode(), value.encode(), b"Content-Type: " + kind.encode()))
            self.assertIn(client.reply().status, (201, 204))

    def test_an_allowed_page_reads_and_writes(self):
        self.assertEqual(self.visit(self.origin, "allowed"), {
            "put": [201, True], "get": [200, "one", True], "swap": [204, 412], "list": [40, 40, True],
            "stream": {"done": True, "count": 40}, "delete": [204, 404]})
        self.assertEqual(self.server.resp("DBSIZE"), 40)

    def check_intruder(self, origin):
        self.server.resp("SET", "secret", "kept")
        self.put("stored", STORED, "text/html")
        end = time.monotonic() + PATIENCE
        saw = self.visit(origin, "intruder")
        self.assertEqual(saw, {
            "read": "TypeError", "read without asking": ["opaque", ""], "list": "TypeError", "put": "TypeError",
            "delete": "TypeError", "post": "TypeError", "post without asking": "opaque", "beacon": True, "form": "sent",
            "read in a frame": True})
        while self.posts() < 4:  # a beacon is sent when the browser finds time
            self.assertLess(time.monotonic(), end, f"{self.posts()} of 4 POSTs came")
            time.sleep(0.01)
        self.assertEqual(self.server.resp("GET", "secret"), b"kept")
        self.assertEqual(self.server.resp("DBSIZE"), 2)

    def posts(self):
        with http_client.Client(self.server.http_port) as client:
            client.send(http_client.get(b"/metrics"))
            return int(re.search(rb'(?m)^strobe_http_requests_total\{method="POST"\} (\d+)$', client.reply().body)[1])
    def test_a_page_of_another_port_is_refused(self):
        self.others = self.serve_pages()
        self.check_intruder(f"http://127.0.0.1:{self.others.server_port}")

    def test_a_page_of_another_site_is_refused(self):
        self.others = self.serve_pages()
        self.check_intruder(f"http://{FOREIGN}:{self.others.server_port}")

    def test_the_intruder_would_get_in_if_it_were_allowed(self):
        self.server.resp("SET", "secret", "kept")
        saw = self.visit(self.origin, "fetches")
        self.assertEqual((saw["read"], saw["put"], saw["delete"], saw["post"]), ("kept", 204, 204, 201))

    def test_a_stored_page_runs_no_script(self):
        self.put("stored.html", STORED, "text/html")
        self.put("stored.svg", DRAWN, "image/svg+xml")
        self.put("stored.txt", STORED, "text/plain")
        self.assertIn("script ran", self.shown(f"{self.origin}/stored"))
        for name in ("stored.html", "stored.svg"):
            told = self.shown(f"{self.base}/kv/{name}")
            self.assertIn("as stored", told, name)
            self.assertNotIn(">script ran<", told, name)
        told = self.shown(f"{self.base}/kv/stored.txt")  # nor does the browser guess that it is a page
        self.assertIn("&lt;script&gt;", told)

    def test_a_name_bound_anew_gets_nothing(self):
        self.put("secret", "kept as it was", "text/plain")
        self.assertIn("kept as it was", self.shown(f"{self.base}/kv/secret"))
        told = self.shown(f"http://{REBOUND}:{self.server.http_port}/kv/secret")
        self.assertNotIn("kept as it was", told)
        self.assertIn("allow-host", told)


if __name__ == "__main__":
    unittest.main()
