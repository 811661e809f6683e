#!/usr/bin/env python3
"""test_http_openapi.py - /openapi.json is OpenAPI 3.0 and says what the server does: methods, parameters, answers."""
import json
import re
import unittest

from http_client import HOST, HttpCase, get

METHODS = {"get", "head", "put", "post", "patch", "delete", "options"}
# a value for each parameter with which the request is understood
GOOD = {"ttl": "30s", "keepttl": "", "incr": "5", "append": "", "prefix": "a", "match": "a*", "limit": "5",
        "cursor": "0", "values": "", "stream": "", "all": "", "atomic": "", "TTL": "30", "If-Match": "*",
        "If-None-Match": '"1"', "If-Range": '"1"', "Range": "bytes=0-1", "Content-Type": "text/plain",
        "Accept": "application/x-ndjson", "Accept-Encoding": "gzip"}
NEEDS = {("patch", "/kv/{key}"): "append", ("delete", "/kv/"): "prefix=none"}


class OpenApiTest(HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = json.loads(HttpCase.ask(cls, get(b"/openapi.json")).body)

    def request(self, method, path, query="", *lines):
        body = {"/batch": b'["PING"]'}.get(path, b"1") if method in ("put", "post", "patch") else b""
        if "incr" in query:
            body = b""
        target = path.replace("{key}", "described") + ("?" + query if query else "")
        head = "".join(line + "\r\n" for line in lines).encode()
        data = f"{method.upper()} {target} HTTP/1.1\r\n".encode() + HOST + head
        return self.ask(data + b"Content-Length: %d\r\n\r\n" % len(body) + body, method == "head")

    def operations(self):
        for path, item in self.page["paths"].items():
            for method in METHODS & item.keys():
                yield path, method, item[method]

    def test_page_is_openapi(self):
        """What the specification requires of the parts that are used."""
        self.assertRegex(self.page["openapi"], r"^3\.0\.\d$")
        self.assertLessEqual({"title", "version"}, self.page["info"].keys())
        ids = []
        for path, item in self.page["paths"].items():
            self.assertTrue(path.startswith("/"))
            self.assertLessEqual(item.keys(), METHODS | {"parameters"})
            self.assertEqual({each["name"] for each in item.get("parameters", ())}, set(re.findall(r"\{(\w+)\}", path)))
        for path, method, operation in self.operations():
            ids.append(operation["operationId"])
            self.assertLessEqual(operation.keys(), {"operationId", "summary", "parameters", "requestBody", "responses"})
            named = [(each["name"], each["in"]) for each in operation.get("parameters", ())]
            self.assertEqual(len(named), len(set(named)))
            for each in operation.get("parameters", ()):
                self.assertIn(each["in"], ("query", "header"))
                self.assertIn(each["schema"]["type"], ("string", "integer", "boolean"))
            for status, response in operation["responses"].items():
                self.assertRegex(status, r"^[1-5]\d\d$")
                self.assertTrue(response["description"])
                if status >= "400" and method != "head":
                    reference = response["content"]["application/problem+json"]["schema"]["$ref"]
                    self.assertEqual(reference, "#/components/schemas/Problem")
            self.assertNotIn("content", operation.get("responses", {}).get("204", {}))
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(set(self.page["components"]["schemas"]["Problem"]["properties"]),
                         set(json.loads(self.ask(get(b"/kv/none")).body)))

    def test_methods_are_those_of_allow(self):
        for path, item in self.page["paths"].items():
            allow = self.request("options", path).headers["allow"].lower().split(", ")
            self.assertEqual(set(allow), METHODS & item.keys(), path)

    def test_answers_are_described(self):
        for path, method, operation in self.operations():
            self.server.resp("SET", "described", "1")
            reply = self.request(method, path, NEEDS.get((method, path), ""))
            self.assertIn(str(reply.status), operation["responses"], (method, path))
            self.assertLess(reply.status, 300, (method, path, reply.body))
            if reply.body:
                media = reply.headers["content-type"].partition(";")[0]
                described = operation["responses"][str(reply.status)]["content"]
                self.assertTrue(media in described or "*/*" in described, (method, path, media))

    def test_parameters_are_known_and_others_are_not(self):
        for path, method, operation in self.operations():
            needs = NEEDS.get((method, path), "")
            for each in operation.get("parameters", ()):
                self.server.resp("SET", "described", "1")
                name, value = each["name"], GOOD[each["name"]]
                if each["in"] == "query":
                    query = f"{name}={value}" if value else name
                    # what is needed is left out where this stands for it
                    reply = self.request(method, path, query if name in ("incr", "append", "all") else
                                         "&".join(filter(None, (needs, query))))
                else:
                    reply = self.request(method, path, needs, f"{name}: {value}")
                self.assertNotIn(reply.status, (400, 404, 405), (method, path, name, reply.body))
            if method in ("put", "post", "patch", "delete") or path == "/kv/" and method == "get":
                query = "&".join(filter(None, (needs, "unheard=1")))
                self.assertEqual(self.request(method, path, query).status, 400, (method, path))


if __name__ == "__main__":
    unittest.main(verbosity=1)
