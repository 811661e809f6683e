#!/usr/bin/env python3
"""test_http_batch.py - POST /batch: commands as JSON, in order, in the form they were asked in, alone or as one."""
import base64
import json
import os
import random
import re
import threading
import unittest

from http_client import HOST, HttpCase, get, put


def post(body, query=b"", *lines):
    return put(b"/batch" + query, body, *lines, method=b"POST")


def line(*words):
    return json.dumps(words).encode() + b"\n"


def text(value):
    """The bytes that a string of an answer stands for."""
    return base64.b64decode(value["base64"], validate=True) if isinstance(value, dict) else value.encode()


class BatchCase(HttpCase):
    def setUp(self):
        self.server.resp("FLUSHALL")

    def lines(self, body, query=b"", *lines):
        reply = self.ask(post(body, query, *lines))
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/x-ndjson"), reply)
        self.assertTrue(reply.body.endswith(b"\n") or not reply.body)
        return [json.loads(each) for each in reply.body.splitlines()]

    def array(self, commands, query=b""):
        body = commands if isinstance(commands, bytes) else json.dumps(commands).encode()
        reply = self.ask(post(body, query))
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/json"), reply)
        return json.loads(reply.body)

    def refused(self, body, query=b"", status=400):
        reply = self.ask(post(body, query))
        problem = json.loads(reply.body)
        self.assertEqual((reply.status, problem["status"]), (status, status), reply)
        self.assertEqual(reply.headers["content-type"], "application/problem+json")
        return problem["detail"]


class FormTest(BatchCase):
    def test_answers_come_in_order_and_in_the_form_of_the_question(self):
        commands = [["SET", "k", "v"], ["GET", "k"], ["GET", "none"], ["INCR", "n"], ["MGET", "k", "none"],
                    ["DEL", "k", "n"], ["SCAN", "0"], ["MGET", "a"], ["KEYS", "*"]]
        wanted = ["OK", "v", None, 1, ["v", None], 2, ["0", []], [None], []]
        wanted = [{"result": each} for each in wanted]
        self.assertEqual(self.array(commands), wanted)
        self.assertEqual(self.lines(b"".join(line(*each) for each in commands)), wanted)

    def test_white_space_and_line_ends(self):
        ok = {"result": "PONG"}
        for body in (b'[["PING"]]', b' \r\n[ \t[ "PING" ] ]\n', b'[[\n"PING"\n]\n]\n\n', b'[["PING"]]   '):
            self.assertEqual(self.array(body), [ok], body)
        for body in (b'["PING"]', b'["PING"]\n', b'["PING"]\r\n', b'\n\n ["PING"] \n\n', b'[ "PING"\t]\n'):
            self.assertEqual(self.lines(body), [ok], body)
        self.assertEqual(self.array(b"[]"), [])
        self.assertEqual(self.array(b" [ ] ", b"?atomic"), [])
        self.assertEqual(self.lines(b"\n \n"), [])

    def test_words_are_strings_numbers_switches_and_bytes(self):
        for word, stored in (('"a"', b"a"), ("1", b"1"), ("-0.50", b"-0.50"), ("1E+3", b"1E+3"), ("true", b"true"),
                             ("false", b"false"), ("123456789012345678901234567890", b"123456789012345678901234567890"),
                             ('"\\u00e9\\ud83d\\ude00\\u0000\\n\\/\\""', 'é😀\0\n/"'.encode()), ('""', b""),
                             ('{"base64":"/w=="}', b"\xff"), ('{"base64":""}', b""),
                             ('{ "base64" : "AP8A" }', b"\0\xff\0"),
                             ('{"base64":"AAE="}', b"\0\1"), ('{"base64":"\\/\\u002bAA"}', b"\xff\xe0\0"),
                             ('"\U0001f600é"', "\U0001f600é".encode())):
            command = f'["SET","w",{word}]'.encode()
            self.assertEqual(self.lines(command), [{"result": "OK"}], word)
            self.assertEqual(self.server.resp("GET", "w"), stored)
            self.assertEqual(self.array(b"[" + command + b"]"), [{"result": "OK"}], word)
            self.assertEqual(text(self.array([["GET", "w"]])[0]["result"]), stored)

    def test_what_is_no_command_is_told_in_its_place(self):
        bad = [b"nonsense", b'"PING"', b"{}", b"[", b"[]", b'["PING"', b'["PING",]', b'["PING" "x"]', b'["PING"]]',
               b'["PING"]["PING"]', b'["PING"] x', b'["PING",null]', b'["PING",["x"]]', b'["PING",{"x":"y"}]',
               b'["PING",{"base64":"AB"}]', b'["PING",{"base64":"A==="}]', b'["PING",{"base64":"AAAA="}]',
               b'["PING",{"base64":"AA==AA=="}]', b'["PING",{"base64":"A A="}]', b'["PING",{"base64":1}]',
               b'["PING",{"base64":"AA==","x":1}]', b'["PING",01]', b'["PING",+1]', b'["PING",1.]', b'["PING",.5]',
               b'["PING",1e]', b'["PING",-]', b'["PING",NaN]', b'["PING",tru]', b'["PING","\\x"]', b'["PING","\\u12"]',
               b'["PING","\\ud800"]', b'["PING","\\udc00\\ud800"]', b'["PING","\\ud800\\u0041"]', b'["PING","a\tb"]',
               b'["PING","\xff"]', b'["PING","\xc0\x80"]', b'["PING","\xed\xa0\x80"]', b'["PING","\xe2\x82"]',
               b'["PING","open]', b"['PING']", b"\xef\xbb\xbf[\"PING\"]", b'["PING",' + b"1" * 2000 + b"]", b"[[[]]]"]
        for each in bad:
            with self.subTest(each[:40]):
                if not each.startswith(b"[["):
                    answers = self.lines(b'["SET","a","1"]\n' + each + b'\n["GET","a"]')
                    self.assertEqual([answers[0], answers[2]], [{"result": "OK"}, {"result": "1"}])
                    self.assertRegex(answers[1]["error"], r"^ERR byte \d+ of the line: expected .*[^.]$")
                    self.refused(b'["SET","b","1"]\n' + each, b"?atomic")
                detail = self.refused(b'[["SET","b","1"],' + each + b"]")
                self.assertRegex(detail, r"^Command [23], byte \d+ of the body: expected .*\. Nothing was executed\.$")
                self.assertIsNone(self.server.resp("GET", "b"))

    def test_arrays_that_do_not_end_are_refused_whole(self):
        whole = b'[["SET","b","1"],["SET","c",{"base64":"/w=="}]]'
        for cut in range(1, len(whole)):
            reply = self.ask(post(whole[:cut]))
            if cut < 3:  # "[" is a line
                continue
            self.assertEqual(reply.status, 400, whole[:cut])
        self.refused(whole + b"x")
        self.assertEqual(self.server.resp("DBSIZE"), 0)

    def test_commands_about_a_connection_are_errors(self):
        for words in (["MULTI"], ["EXEC"], ["DISCARD"], ["WATCH", "k"], ["QUIT"], ["RESET"], ["HELLO", "3"],
                      ["MONITOR"], ["SELECT", "0"], ["CLIENT", "REPLY", "OFF"], ["CLIENT", "LIST"], ["SUBSCRIBE", "c"],
                      ["NONSENSE"]):
            self.assertRegex(self.array([words])[0]["error"], "^ERR .")
            self.assertRegex(self.refused(json.dumps([["SET", "x", 1], words]).encode(), b"?atomic"), "^Command 2: ERR")
        self.assertIsNone(self.server.resp("GET", "x"))
        self.assertEqual(self.array([["PING"], ["ECHO", "x"]]), [{"result": "PONG"}, {"result": "x"}])

    def test_every_command_that_reads_answers_json(self):
        self.server.resp("SET", "k", "1")
        commands = [["INFO"], ["COMMAND"], ["COMMAND", "DOCS"], ["CONFIG", "GET", "*"], ["HELP"], ["TIME"],
                    ["TTL", "k"], ["TYPE", "k"], ["GETVER", "k"], ["RANDOMKEY"], ["INCRBYFLOAT", "f", 1.5], ["DBSIZE"],
                    ["STRLEN", "k"], ["SCAN", "0", "WITHVALUES"], ["COMMAND", "INFO", "get", "none"]]
        for one, many in zip(commands, self.array(commands)):
            self.assertEqual(len(many), 1, one)
        self.assertEqual([len(each) for each in self.array(commands, b"?atomic")], [1] * len(commands))

    def test_versions_are_strings_as_everywhere_in_json(self):
        wrote = self.array([["SET", "k", "1", "RETVER"]])[0]["result"]
        self.assertEqual(wrote, str(self.server.resp("GETVER", "k")[1]))
        for query in (b"", b"?atomic"):
            told = self.array([["GETVER", "k"], ["SET", "k", "2", "IFVER", wrote, "RETVER"], ["GETVER", "none"]], query)
            self.assertEqual(told[0], {"result": ["1" if query == b"" else "2", wrote]})
            self.assertEqual(told[2], {"result": None})
            wrote = told[1]["result"]
            self.assertEqual(wrote, str(self.server.resp("GETVER", "k")[1]))


class ValueTest(BatchCase):
    def test_random_words_come_back(self):
        chance = random.Random(1)
        letters = "ab\"\\/\n\t\0\x7fé€😀\ud7ff\ue000\uffff"
        for turn in range(40):
            words = {f"k{i}": "".join(chance.choices(letters, k=chance.choice((0, 1, 7, 8, 9, 100, 5000))))
                     for i in range(20)}
            commands = [["SET", key, value] for key, value in words.items()] + [["GET", key] for key in words]
            body = json.dumps(commands, ensure_ascii=turn % 2 == 0).encode()
            self.assertEqual([each["result"] for each in self.array(body)[20:]], list(words.values()))

    def test_values_of_every_size_come_back(self):
        for size in (0, 1, 3, 4, 16383, 16384, 16385, 32767, 32768, 65536, 300001, 3 << 20):
            for value in (os.urandom(size), ("é€😀" * (size // 9 + 1)).encode()[:size // 9 * 9], b"a" * size):
                given = {"base64": base64.b64encode(value).decode()}
                answers = self.array([["SET", "k", given], ["GET", "k"], ["ECHO", given], ["GETRANGE", "k", 1, -2]])
                self.assertEqual(text(answers[1]["result"]), value)
                self.assertEqual(text(answers[2]["result"]), value)
                self.assertEqual(text(answers[3]["result"]), value[1:-1])

    def test_cut_characters_at_the_edges_of_pieces(self):
        for shift in range(5):
            value = ("x" * shift + "€" * 90000)
            answers = self.lines(line("SET", "k", value) + line("ECHO", value) + line("GET", "k"))
            self.assertEqual([each["result"] for each in answers], ["OK", value, value])
        body = b"y" * 70000 + "€".encode()[:2]
        self.server.resp("SET", "k", body)
        self.assertEqual(text(self.array([["GET", "k"]])[0]["result"]), body)

    def test_body_may_come_in_any_pieces(self):
        body = b"".join(line("SET", f"k{i}", "é" * i) for i in range(300)) + line("DBSIZE")
        whole = self.ask(post(body)).body
        client = self.open()
        client.send(post(body), 1000)
        self.assertEqual(client.reply().body, whole)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 777]), body[i:i + 777]) for i in range(0, len(body), 777))
        client.send(b"POST /batch HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        self.assertEqual(client.reply().body, whole)
        small = line("SET", "k", "é😀\\") + b"oops\n" + line("GET", "k")
        wanted = self.ask(post(small)).body
        client.send(post(small), 1)
        self.assertEqual(client.reply().body, wanted)


class LongTest(BatchCase):
    options = ("--threads", "1", "--max-request", "8mb", "--max-reply-buffer", "4mb")

    def test_connection_goes_on_behind_a_batch(self):
        client = self.open()
        body = b"".join(line("SET", f"k{i}", i) for i in range(20000))
        client.send(post(body) + get(b"/healthz") + post(b'[["DBSIZE"]]') + get(b"/healthz"))
        reply = client.reply()
        self.assertEqual(reply.headers["transfer-encoding"], "chunked")
        self.assertEqual(reply.body, b'{"result":"OK"}\n' * 20000)
        self.assertEqual(client.reply().body, b"ok\n")
        reply = client.reply()
        self.assertEqual((reply.body, reply.headers["content-length"]), (b'[{"result":20000}]\n', "19"))
        self.assertEqual(client.reply().body, b"ok\n")

    def test_http10_batch_ends_with_the_connection(self):
        for count in (1, 20000):
            client = self.open()
            body = line("PING") * count
            client.send(b"POST /batch HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.assertEqual(client.reply().body, b'{"result":"PONG"}\n' * count)
            client.close()

    def test_others_have_their_turn_beside_a_long_batch(self):
        batch, other = self.open(), self.open()
        body = line("INCR", "n") * 200000
        writer = threading.Thread(target=batch.send, args=(post(body),))
        writer.start()
        batch.head()
        other.send(get(b"/kv/n"))
        self.assertLess(int(other.reply().body), 200000)
        self.assertEqual(b"".join(batch.chunks()).splitlines()[-1], b'{"result":200000}')
        writer.join()

    def test_reader_that_stalls_holds_little_and_stops_the_batch(self):
        self.server.resp("SET", "big", "x" * 1000000)
        client = self.open(receive_buffer=65536)
        before = self.memory()
        client.send(post(line("GET", "big") * 40 + line("SET", "end", 1)))
        client.head()
        for _ in range(50):
            self.assertLess(self.memory() - before, 3 << 20)
        self.assertIsNone(self.server.resp("GET", "end"))
        lines = b"".join(client.chunks()).splitlines()
        self.assertEqual([len(each) for each in lines], [1000013] * 40 + [15])
        self.assertEqual(self.server.resp("GET", "end"), b"1")

    def memory(self):
        body = self.ask(get(b"/metrics")).body.decode()
        return int(re.search(r'strobe_memory_bytes{kind="buffers"} (\d+)', body)[1])

    def test_peer_that_leaves_ends_the_batch(self):
        self.server.resp("SET", "big", "x" * 1000000)
        for query in (b"", b"?atomic"):
            client = self.open(receive_buffer=4096)
            client.send(post(line("GET", "big") * 300, query))
            client.head()
            client.close()
        self.assertEqual(self.array([["PING"]]), [{"result": "PONG"}])

    def test_limits_are_told(self):
        big = b'[["SET","k","' + b"x" * (8 << 20) + b'"]]'
        self.assertIn("max-request", self.refused(big, b"", 413))
        fits = b'[["SET","k","' + b"x" * ((8 << 20) - 16) + b'"]]'
        self.assertEqual(self.array(fits), [{"result": "OK"}])
        for i in range(8):
            self.server.resp("SET", f"m{i}", "y" * 800000)
        answers = self.array([["MGET"] + [f"m{i}" for i in range(8)], ["STRLEN", "m1"]])
        self.assertIn("max-reply-buffer", answers[0]["error"])
        self.assertEqual(answers[1], {"result": 800000})

    def test_refusals_before_the_body(self):
        for query, lines, status in ((b"?atomc", (), 400), (b"", (b"Content-Encoding: gzip",), 415),
                                     (b"", (b"Content-Type: multipart/form-data; boundary=x",), 415),
                                     (b"", (b"Origin: http://evil.example",), 403)):
            self.assertEqual(self.ask(post(b'["PING"]', query, *lines)).status, status)
        self.assertEqual(self.ask(post(b"")).status, 400)
        for method in (b"GET", b"PUT", b"DELETE"):
            reply = self.ask(put(b"/batch", b"", method=method))
            self.assertEqual((reply.status, reply.headers["allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(self.lines(b'["PING"]', b"?atomic=0"), [{"result": "PONG"}])


class AtomicTest(BatchCase):
    def test_all_or_nothing(self):
        body = line("SET", "a", "1") + line("INCR", "a") + line("GET", "a") + line("GET", "b")
        answers = self.lines(body, b"?atomic")
        self.assertEqual(answers, [{"result": "OK"}, {"result": 2}, {"result": "2"}, {"result": None}])
        answers = self.array([["SET", "b", "x"], ["INCR", "b"], ["SET", "c", "1"]], b"?atomic")
        self.assertEqual(answers, [{"result": "OK"}, {"error": "ERR value is not an integer or out of range"},
                                   {"result": "OK"}])
        detail = self.refused(line("SET", "d", "1") + line("SET", "d"), b"?atomic")
        self.assertIn("Command 2: ERR wrong number of arguments", detail)
        self.assertIsNone(self.server.resp("GET", "d"))

    def test_scans_show_the_state_before(self):
        self.array([["SET", "old", "1"]])
        commands = [["SET", "new", "1"], ["KEYS", "*"], ["DEL", "old"], ["SCAN", "0", "WITHVALUES"], ["DBSIZE"]]
        answers = self.array(commands, b"?atomic")
        self.assertEqual([each["result"] for each in answers], ["OK", ["old"], 1, ["0", ["old", "1"]], 1])

    def test_others_never_see_half_of_one(self):
        stop = threading.Event()

        def write():
            client = self.open()
            turn = 0
            while not stop.is_set():
                turn += 1
                client.send(post(b"".join(line("SET", f"p{i}", turn) for i in range(20)), b"?atomic"))
                if client.reply().status != 200:
                    raise AssertionError

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(300):
                values = self.server.resp("MGET", *(f"p{i}" for i in range(20)))
                self.assertEqual(len(set(values)), 1)
        finally:
            stop.set()
            writer.join()

    def test_too_many_keys_are_refused(self):
        detail = self.refused(line("SET", "k", 1) * 65537, b"?atomic")
        self.assertIn("too many keys", detail)
        answers = self.lines(line("INCR", "k") * 65536, b"?atomic")
        self.assertEqual(answers[-1], {"result": 65536})


if __name__ == "__main__":
    unittest.main(verbosity=1)
