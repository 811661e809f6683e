// ioredis.mjs - what people do with the `ioredis` client: it pipelines on its own, wraps a multi() in one batch, scans
// as a stream, and reconnects.
//
//     STROBE_PORT=7171 node --test ioredis.mjs
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { once } from 'node:events';
import Redis from 'ioredis';

const port = Number(process.env.STROBE_PORT);
let client;

before(() => {
  client = new Redis({ port, maxRetriesPerRequest: 1 });
});
after(() => client.disconnect());
beforeEach(() => client.flushall());

test('it finds the server ready by INFO', async () => {
  const other = new Redis({ port, lazyConnect: true, connectionName: 'apps', enableReadyCheck: true });
  await other.connect();
  assert.equal(other.status, 'ready');
  assert.equal(await other.client('GETNAME'), 'apps');
  assert.equal(await other.quit(), 'OK');
});

test('get, set and their options', async () => {
  assert.equal(await client.set('k', 'v', 'NX'), 'OK');
  assert.equal(await client.set('k', 'w', 'NX'), null);
  assert.equal(await client.set('k', 'w', 'XX', 'GET'), 'v');
  assert.equal(await client.set('k', 'x', 'EX', 100), 'OK');
  assert.equal(await client.set('k', 'y', 'KEEPTTL'), 'OK');
  const ttl = await client.ttl('k');
  assert.ok(ttl > 90 && ttl <= 100, `${ttl}`);
  assert.equal(await client.getex('k', 'PERSIST'), 'y');
  assert.equal(await client.pttl('k'), -1);
  assert.equal(await client.getdel('k'), 'y');
  assert.equal(await client.get('k'), null);
  assert.equal(await client.incrbyfloat('f', 1.5), '1.5');
});

test('bytes go in and come out as they were', async () => {
  const bytes = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7) & 255));
  const key = Buffer.from([0, 255, 13, 10]);
  await client.set(key, bytes);
  assert.ok(bytes.equals(await client.getBuffer(key)));
  assert.deepEqual(await client.keysBuffer('*'), [key]);
});

test('a pipeline answers each command by itself', async () => {
  const replies = await client.pipeline().set('word', 'x').incr('word').get('word').exec();
  assert.deepEqual(replies[0], [null, 'OK']);
  assert.match(replies[1][0].message, /^ERR value is not an integer or out of range$/);
  assert.deepEqual(replies[2], [null, 'x']);
  const many = client.pipeline();
  for (let i = 0; i < 20000; i += 1) many.incr('n');
  assert.deepEqual((await many.exec()).map(([, n]) => n), Array.from({ length: 20000 }, (_, i) => i + 1));
});

test('commands of one turn of the loop are sent together when told so', async () => {
  const auto = new Redis({ port, enableAutoPipelining: true });
  const replies = await Promise.all(Array.from({ length: 5000 }, (_, i) => auto.set(`k${i}`, i)));
  assert.deepEqual([...new Set(replies)], ['OK']);
  assert.equal(await auto.dbsize(), 5000);
  auto.disconnect();
});

test('multi is one transaction, and nothing of it happens when it is refused', async () => {
  assert.deepEqual(await client.multi().set('a', 1).incr('a').mget('a', 'none').exec(),
    [[null, 'OK'], [null, 2], [null, ['2', null]]]);
  await assert.rejects(client.multi().set('a', 9).set('a').exec(), /EXECABORT/);
  assert.equal(await client.get('a'), '2');
});

test('watch makes exec answer null after a change', async () => {
  const other = client.duplicate();
  await client.watch('a');
  await other.set('a', 1);
  assert.equal(await client.multi().set('a', 2).exec(), null);
  assert.equal(await other.get('a'), '1');
  other.disconnect();
});

test('scanStream gives every key once', async () => {
  const keys = Array.from({ length: 3000 }, (_, i) => `user:${i}`);
  await client.mset(Object.fromEntries(keys.map((key) => [key, 'x'])));
  const seen = [];
  for await (const page of client.scanStream({ match: 'user:*', count: 100 })) seen.push(...page);
  assert.deepEqual(seen.sort(), keys.sort());
});

test('keyPrefix puts the prefix where keys are, by what COMMAND told its makers', async () => {
  const prefixed = new Redis({ port, keyPrefix: 'app:' });
  await prefixed.mset('a', 1, 'b', 2);
  assert.deepEqual(await prefixed.mget('a', 'b'), ['1', '2']);
  assert.deepEqual((await client.keys('*')).sort(), ['app:a', 'app:b']);
  assert.equal(await prefixed.unlink('a', 'b'), 2);
  prefixed.disconnect();
});

test('what strobe has more is called by name', async () => {
  await client.set('k', 'v');
  const [value, version] = await client.call('GETVER', 'k');
  assert.equal(value, 'v');
  assert.equal(await client.call('SET', 'k', 'w', 'IFVER', version), 'OK');
  assert.equal(await client.call('SET', 'k', 'x', 'IFVER', version), null);
});

test('what strobe does not have is an error that says so', async () => {
  await assert.rejects(client.lpush('list', 1), /unknown command 'lpush'/);
  await assert.rejects(client.eval('return 1', 0), /unknown command 'eval'/);
});

test('it comes back after the server has let it go, and repeats what was not answered', async () => {
  const other = new Redis({ port, retryStrategy: () => 1 });
  await other.set('k', 'v');
  const again = once(other, 'ready');
  other.stream.destroy();
  assert.equal(await other.get('k'), 'v');
  await again;
  other.disconnect();
});
