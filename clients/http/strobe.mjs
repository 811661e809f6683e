// strobe.mjs - keys over HTTP with what Node (18 and later) and browsers have: fetch. No package is needed.
//
//     node clients/http/strobe.mjs [http://127.0.0.1:7172]     shows everything below
//
//     import { Strobe } from "./strobe.mjs";
//     const strobe = new Strobe("http://127.0.0.1:7172");
//     await strobe.set("greeting", "hello", { ttl: "30s" });
import { pathToFileURL } from "node:url";

export class Strobe {
    constructor(url) {
        this.url = url.replace(/\/$/, "");
    }

    // One request; an answer that is neither good nor among EXPECTED throws the server's own sentence.
    async ask(path, options = {}, expected = []) {
        const reply = await fetch(this.url + path, options);
        if (reply.ok || expected.includes(reply.status)) return reply;
        throw new Error(`${options.method ?? "GET"} ${path}: ${(await reply.json()).detail}`);
    }

    path(key, query = {}) {
        const text = new URLSearchParams(query).toString();
        return "/kv/" + encodeURIComponent(key) + (text ? "?" + text : "");
    }

    // The value as text and its version, or null.
    async get(key) {
        const reply = await this.ask(this.path(key), {}, [404]);
        if (reply.status === 404) return null;
        return { value: await reply.text(), version: reply.headers.get("etag") };
    }

    // Options: ttl ("30s"); version, which the entry must still have (null: it must not exist). The new version, or
    // null when somebody else was faster.
    async set(key, value, { ttl, version } = {}) {
        const headers = {};
        if (version !== undefined) headers[version === null ? "If-None-Match" : "If-Match"] = version ?? "*";
        const path = this.path(key, ttl ? { ttl } : {});
        const reply = await this.ask(path, { method: "PUT", body: value, headers }, [412]);
        return reply.status === 412 ? null : reply.headers.get("etag");
    }

    async add(key, number = 1) {
        return Number(await (await this.ask(this.path(key, { incr: number }), { method: "PATCH" })).text());
    }

    async append(key, text) {
        return Number(await (await this.ask(this.path(key, { append: "" }), { method: "PATCH", body: text })).text());
    }

    async remove(key) {
        return (await this.ask(this.path(key), { method: "DELETE" }, [404])).status === 204;
    }

    // Every entry of one instant, as it comes. A stream that was cut throws: its last line is missing.
    async *entries(prefix = "") {
        const query = new URLSearchParams({ prefix, values: "", stream: "" });
        const reply = await this.ask("/kv/?" + query);
        let rest = "";
        for await (const text of reply.body.pipeThrough(new TextDecoderStream())) {
            const lines = (rest + text).split("\n");
            rest = lines.pop();
            for (const line of lines) {
                const entry = JSON.parse(line);
                if (entry.done) return;
                yield entry;
            }
        }
        throw new Error("the stream was cut");
    }

    // Commands of the text protocol, in order: [["SET", "k", "v"], ["GET", "k"]] gives [{result}, {result}].
    async batch(commands, { atomic = false } = {}) {
        const reply = await this.ask("/batch" + (atomic ? "?atomic" : ""), {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(commands),
        });
        return reply.json();
    }
}

// What the pipeline of @upstash/redis does, on top of batch: commands are collected, sent at once, and exec() gives
// their results, or throws the first error.
export class Pipeline {
    constructor(strobe, options) {
        this.strobe = strobe;
        this.options = options;
        this.commands = [];
        return new Proxy(this, {
            get: (target, name, self) =>
                name in target || typeof name !== "string" || name === "then"
                    ? target[name]
                    : (...words) => (target.commands.push([name.toUpperCase(), ...words]), self),
        });
    }

    async exec() {
        const answers = await this.strobe.batch(this.commands, this.options);
        const wrong = answers.findIndex((answer) => "error" in answer);
        if (wrong >= 0) throw new Error(`command ${wrong + 1} (${this.commands[wrong][0]}): ${answers[wrong].error}`);
        return answers.map((answer) => answer.result);
    }
}

async function show(url) {
    const strobe = new Strobe(url);
    const version = await strobe.set("fetch/greeting", "hello ä€😀", { ttl: "60s" });
    console.log("get", (await strobe.get("fetch/greeting")).value);
    console.log("set if it is still that", (await strobe.set("fetch/greeting", "again", { version })) !== null);
    console.log("and once more", (await strobe.set("fetch/greeting", "too late", { version })) !== null);
    await strobe.remove("fetch/count");
    console.log("add", await strobe.add("fetch/count", 41), await strobe.add("fetch/count"));
    console.log("append", await strobe.append("fetch/greeting", "!"));
    const keys = [];
    for await (const entry of strobe.entries("fetch/")) keys.push(`${entry.key}=${entry.value}`);
    console.log("entries", keys.sort().join(" "));
    const pipeline = new Pipeline(strobe).set("fetch/p", "v").get("fetch/p").incr("fetch/count").mget("fetch/p", "no");
    console.log("pipeline", JSON.stringify(await pipeline.exec()));
    const all = new Pipeline(strobe, { atomic: true }).set("fetch/a", 1).incrby("fetch/a", 5).del("fetch/a");
    console.log("transaction", JSON.stringify(await all.exec()));
    console.log("error", await new Pipeline(strobe).incr("fetch/greeting").exec().catch((error) => error.message));
    console.log("removed", (await strobe.remove("fetch/p")) && !(await strobe.remove("fetch/p")));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    await show(process.argv[2] ?? "http://127.0.0.1:7172");
}
