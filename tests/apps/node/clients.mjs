// clients.mjs - what people do from node: the `redis` client against the text door, fetch against HTTP, one map.
//
//     STROBE_PORT=7171 STROBE_HTTP_PORT=7172 node --test clients.mjs
//
// test_node.py installs the client beside a copy of this file, starts a strobed, and runs it.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { once } from 'node:events';
import net from 'node:net';
import { createClient } from 'redis';

const port = Number(process.env.STROBE_PORT);
const base = `http://127.0.0.1:${process.env.STROBE_HTTP_PORT}`;
let client;

before(async () => {
  client = await createClient({ socket: { port, reconnectStrategy: false } }).connect();
});
after(() => client.destroy());
beforeEach(() => client.flushAll());

test('get, set and their options', async () => {
  assert.equal(await client.set('k', 'v'), 'OK');
  assert.equal(await client.get('k'), 'v');
  assert.equal(await client.get('none'), null);
  assert.equal(await client.set('k', 'w', { condition: 'NX' }), null);
  assert.equal(await client.set('k', 'w', { condition: 'XX', GET: true }), 'v');
  assert.equal(await client.set('k', 'x', { expiration: { type: 'EX', value: 100 } }), 'OK');
  const ttl = await client.ttl('k');
  assert.ok(ttl > 90 && ttl <= 100, `${ttl}`);
  assert.equal(await client.set('k', 'y', { expiration: 'KEEPTTL' }), 'OK');
  assert.ok((await client.pTTL('k')) > 90000);
  assert.equal(await client.persist('k'), 1);
  assert.equal(await client.exists(['k', 'none']), 1);
  assert.equal(await client.del(['k', 'none']), 1);
});

test('text of every script, and bytes', async () => {
  for (const text of ['', 'ä€😀', 'a\r\nb\0c', 'x'.repeat(1 << 20)]) {
    await client.set(`key ${text.slice(0, 20)}`, text);
    assert.equal(await client.get(`key ${text.slice(0, 20)}`), text);
  }
});

test('many commands at once are answered in their order', async () => {
  const replies = await Promise.all(Array.from({ length: 5000 }, () => client.incr('n')));
  assert.deepEqual(replies, Array.from({ length: 5000 }, (_, i) => i + 1));
  await client.mSet({ a: '1', b: '2' });
  assert.deepEqual(await client.mGet(['a', 'none', 'b']), ['1', null, '2']);
});

test('scanIterator gives every key once', async () => {
  const keys = Array.from({ length: 3000 }, (_, i) => `user:${i}`);
  await client.mSet(keys.flatMap((key) => [key, 'x']));
  const seen = [];
  for await (const page of client.scanIterator({ MATCH: 'user:*', COUNT: 100 })) seen.push(...page);
  assert.deepEqual(seen.sort(), keys.sort());
  for await (const page of client.scanIterator({ MATCH: 'nobody:*' })) assert.deepEqual(page, []);
});

test('an error rejects its own command only', async () => {
  await client.set('word', 'x');
  const settled = await Promise.allSettled([
    client.incr('word'), client.get('word'), client.sendCommand(['LPUSH', 'l', 'x']),
  ]);
  assert.match(settled[0].reason.message, /^ERR value is not an integer or out of range/);
  assert.equal(settled[1].value, 'x');
  assert.match(settled[2].reason.message, /^ERR unknown command 'LPUSH'/);
});

test('multi and watch', async () => {
  assert.deepEqual(await client.multi().set('k', '1').incr('k').get('k').get('none').exec(), ['OK', 2, '2', null]);
  await assert.rejects(client.multi().set('k', 'x').incr('k').exec());
  assert.equal(await client.get('k'), 'x');
  const other = await createClient({ socket: { port, reconnectStrategy: false } }).connect();
  await other.watch('k');
  await client.set('k', 'y');
  await assert.rejects(other.multi().set('k', 'z').exec(), /watch/i);
  await other.watch('k');
  assert.deepEqual(await other.multi().set('k', 'z').exec(), ['OK']);
  other.destroy();
});

test('RESP3', async () => {
  const three = await createClient({ RESP: 3, socket: { port, reconnectStrategy: false } }).connect();
  assert.equal(await three.set('k', 'v'), 'OK');
  assert.equal(await three.get('k'), 'v');
  assert.equal(await three.get('none'), null);
  assert.deepEqual(await three.mGet(['k', 'none']), ['v', null]);
  three.destroy();
});

test('a client whose connection broke comes back by itself', async (t) => {
  // a relay, so that a connection can be broken that the server would have kept
  const pairs = [];
  const relay = net.createServer((from) => {
    const to = net.connect(port, '127.0.0.1');
    for (const end of [from, to]) end.on('error', () => {});
    from.pipe(to).pipe(from);
    pairs.push([from, to]);
  });
  const drop = () => pairs.flat().forEach((end) => end.destroy());
  t.after(() => { drop(); relay.close(); });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const again = createClient({ name: 'returning', socket: { port: relay.address().port, reconnectStrategy: 10 } });
  t.after(() => again.destroy());
  again.on('error', () => {});
  await again.connect();
  await again.set('before', '1');
  const ready = new Promise((resolve) => again.once('ready', resolve));
  drop();
  await ready;
  assert.equal(await again.get('before'), '1');
  assert.equal(await again.clientGetName(), 'returning');
  assert.equal(pairs.length, 2);
});

test('fetch and the text client see one map', async () => {
  const type = 'text/plain;charset=utf-8';
  const put = await fetch(`${base}/kv/page`, { method: 'PUT', body: 'grüße', headers: { 'Content-Type': type } });
  assert.equal(put.status, 201);
  assert.equal(await client.get('page'), 'grüße');
  const got = await fetch(`${base}/kv/page`);
  assert.deepEqual([got.status, await got.text(), got.headers.get('content-type')], [200, 'grüße', type]);
  assert.equal(got.headers.get('etag'), put.headers.get('etag'));
  await client.set('page', 'new');
  const old = { 'If-Match': put.headers.get('etag') };
  const kept = await fetch(`${base}/kv/page`, { method: 'PUT', body: 'lost', headers: old });
  assert.equal(kept.status, 412);
  const missing = await fetch(`${base}/kv/none`);
  assert.equal(missing.status, 404);
  assert.match(missing.headers.get('content-type'), /^application\/problem\+json/);
  assert.equal((await missing.json()).status, 404);
  assert.equal((await fetch(`${base}/kv/page`, { method: 'DELETE' })).status, 204);
  assert.equal(await client.get('page'), null);
});

test('fetch sends a body of unknown length', async () => {
  const piece = new TextEncoder().encode('0123456789'.repeat(1000));
  let left = 100;
  const body = new ReadableStream({ pull: (to) => (left-- > 0 ? to.enqueue(piece) : to.close()) });
  const put = await fetch(`${base}/kv/long`, { method: 'PUT', body, duplex: 'half' });
  assert.equal(put.status, 201);
  assert.equal(await client.strLen('long'), 1000000);
  assert.equal((await (await fetch(`${base}/kv/long`)).arrayBuffer()).byteLength, 1000000);
});

test('many requests at once over fetch', async () => {
  const statuses = await Promise.all(Array.from({ length: 500 }, async (_, i) => {
    const reply = await fetch(`${base}/kv/many/${i}`, { method: 'PUT', body: `${i}` });
    await reply.arrayBuffer();
    return reply.status;
  }));
  assert.deepEqual([...new Set(statuses)], [201]);
  assert.equal(await client.dbSize(), 500);
});

test('a stream of the snapshot, line by line, and pages that follow their links', async () => {
  const keys = Array.from({ length: 3000 }, (_, i) => `k/${i} ä`);
  await client.mSet(keys.flatMap((key) => [key, `value of ${key}`]));
  let text = '';
  const stream = await fetch(`${base}/kv/?stream&values`);
  for await (const piece of stream.body.pipeThrough(new TextDecoderStream())) text += piece;
  const rows = text.trimEnd().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(rows.pop(), { done: true, count: keys.length });
  assert.deepEqual(rows.map((row) => row.key).sort(), [...keys].sort());
  for (const row of rows) assert.equal(row.value, `value of ${row.key}`);

  const paged = [];
  let next = '/kv/?prefix=k/&limit=700';
  while (next) {
    const page = await fetch(new URL(next, base));
    paged.push(...(await page.json()).keys);
    next = page.headers.get('link')?.match(/^<([^>]+)>; rel="next"$/)[1];
  }
  assert.deepEqual(paged.sort(), keys.sort());
});
