// applications.mjs - what people build on a key-value server, from packages that they take for it: sessions of an
// express application, a cache, rate limiters.
//
//     STROBE_PORT=7171 node --test applications.mjs
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { once } from 'node:events';
import express from 'express';
import session from 'express-session';
import { RedisStore } from 'connect-redis';
import Keyv from 'keyv';
import KeyvRedis from '@keyv/redis';
import { RateLimiterRedisNonAtomic } from 'rate-limiter-flexible';
import Redis from 'ioredis';
import { createClient } from 'redis';

const port = Number(process.env.STROBE_PORT);
let client;
let ioredis;

before(async () => {
  client = await createClient({ socket: { port, reconnectStrategy: false } }).connect();
  ioredis = new Redis({ port });
});
after(() => {
  client.destroy();
  ioredis.disconnect();
});
beforeEach(() => client.flushAll());

// Serves APP while USE runs with its address.
async function serve(app, use) {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
}

function sessionApplication(store) {
  const app = express();
  app.use(session({ store, secret: 'kept', resave: false, saveUninitialized: false, rolling: true,
    cookie: { maxAge: 60000 } }));
  app.get('/visit', (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    response.json(request.session.visits);
  });
  app.get('/leave', (request, response) => request.session.destroy(() => response.json('bye')));
  return app;
}

test('sessions of express live in connect-redis', async () => {
  const store = new RedisStore({ client, prefix: 'sess:' });
  // With redis 5, whose scanIterator gives pages, connect-redis 8 counts pages where it lists; so that goes by ioredis.
  const lister = new RedisStore({ client: ioredis, prefix: 'sess:' });
  const call = (name, ...words) => new Promise((done, fail) => {
    lister[name](...words, (error, result) => (error ? fail(error) : done(result)));
  });
  await serve(sessionApplication(store), async (base) => {
    const cookies = [];
    for (let user = 0; user < 150; user += 1) {
      const reply = await fetch(`${base}/visit`);
      assert.equal(await reply.json(), 1);
      cookies.push(reply.headers.get('set-cookie').split(';')[0]);
    }
    const visit = async (cookie) => (await fetch(`${base}/visit`, { headers: { cookie } })).json();
    assert.deepEqual([...new Set(await Promise.all(cookies.map(visit)))], [2]);
    assert.equal(await client.dbSize(), 150);
    const [key] = await client.keys('sess:*');
    const ttl = await client.ttl(key);
    assert.ok(ttl > 50 && ttl <= 60, `${ttl}`);
    // what it lists by SCAN
    assert.equal(await call('length'), 150);
    assert.equal((await call('ids')).length, 150);
    assert.deepEqual([...new Set((await call('all')).map((one) => one.visits))], [2]);
    await fetch(`${base}/leave`, { headers: { cookie: cookies[0] } });
    assert.equal(await visit(cookies[0]), 1);
    assert.equal(await visit(cookies[1]), 3);
    await call('clear');
    assert.equal(await call('length'), 0);
  });
});

test('an application that was started anew still knows its sessions', async () => {
  let cookie;
  for (const visits of [1, 2, 3]) {
    await serve(sessionApplication(new RedisStore({ client })), async (base) => {
      const reply = await fetch(`${base}/visit`, { headers: cookie ? { cookie } : {} });
      assert.equal(await reply.json(), visits);
      cookie ??= reply.headers.get('set-cookie').split(';')[0];
    });
  }
});

test('keyv caches in it', async () => {
  const store = new KeyvRedis(`redis://127.0.0.1:${port}`, { throwOnErrors: true });
  const cache = new Keyv({ store, namespace: 'cache', throwOnErrors: true });
  cache.on('error', (error) => assert.fail(error));
  assert.equal(await cache.get('k'), undefined);
  assert.equal(await cache.set('k', { deep: ['ä', 1, null] }, 60000), true);
  assert.deepEqual(await cache.get('k'), { deep: ['ä', 1, null] });
  assert.equal(await cache.has('k'), true);
  const [key] = await client.keys('*k');
  assert.ok(await client.pTTL(key) > 50000);
  await cache.set('short', 'x', 1);
  for (let tries = 0; await cache.has('short'); tries += 1) assert.ok(tries < 100000);
  await cache.setMany(Array.from({ length: 500 }, (_, i) => ({ key: `many${i}`, value: i })));
  assert.deepEqual(await cache.getMany(['many0', 'none', 'many499']), [0, undefined, 499]);
  const seen = new Map();
  for await (const [name, value] of cache.iterator()) seen.set(name, value);
  assert.equal(seen.size, 501);
  assert.equal(seen.get('many7'), 7);
  assert.equal(await cache.delete('k'), true);
  assert.equal(await cache.delete('k'), false);
  await client.set('of another', 'stays');
  await cache.clear();
  assert.deepEqual(await client.keys('*'), ['of another']);
  await cache.disconnect();
});

test('keyv wraps a slow function, which then runs once', async () => {
  const cache = new Keyv({ store: new KeyvRedis(`redis://127.0.0.1:${port}`), namespace: 'slow' });
  let runs = 0;
  const answer = async (question) => {
    const known = await cache.get(question);
    if (known !== undefined) return known;
    runs += 1;
    await cache.set(question, question.length, 60000);
    return question.length;
  };
  for (let i = 0; i < 20; i += 1) assert.equal(await answer('life'), 4);
  assert.equal(runs, 1);
  await cache.disconnect();
});

test('rate-limiter-flexible, in its form without Lua', async () => {
  const limiter = new RateLimiterRedisNonAtomic({ storeClient: client, useRedisPackage: true, points: 3, duration: 60,
    blockDuration: 90, keyPrefix: 'limit' });
  for (const left of [2, 1, 0]) assert.equal((await limiter.consume('ada')).remainingPoints, left);
  await assert.rejects(limiter.consume('ada'), (told) => told.consumedPoints === 4 && told.msBeforeNext > 80000);
  assert.equal((await limiter.consume('grace')).remainingPoints, 2);
  assert.equal((await limiter.get('grace')).consumedPoints, 1);
  assert.equal((await limiter.penalty('grace', 1)).consumedPoints, 2);
  assert.equal((await limiter.reward('grace', 2)).consumedPoints, 0);
  assert.equal(await limiter.delete('ada'), true);
  assert.equal((await limiter.consume('ada')).remainingPoints, 2);
});

// A fixed window by INCR and EXPIRE NX in one transaction: exact however many ask at once.
function limit(most, seconds) {
  return async (request, response, next) => {
    const key = `window:${request.query.user}`;
    const [count] = await client.multi().incr(key).expire(key, seconds, 'NX').exec();
    response.set('RateLimit-Remaining', `${Math.max(0, most - count)}`);
    if (count <= most) next();
    else response.status(429).set('Retry-After', `${await client.ttl(key)}`).end();
  };
}

test('a rate limiter of INCR and EXPIRE lets exactly so many through', async () => {
  const app = express();
  app.get('/', limit(50, 60), (_, response) => response.end('in'));
  await serve(app, async (base) => {
    const ask = async (user) => (await fetch(`${base}/?user=${user}`)).status;
    const ada = await Promise.all(Array.from({ length: 200 }, () => ask('ada')));
    const grace = await Promise.all(Array.from({ length: 50 }, () => ask('grace')));
    assert.equal(ada.filter((status) => status === 200).length, 50);
    assert.equal(ada.filter((status) => status === 429).length, 150);
    assert.deepEqual([...new Set(grace)], [200]);
    const wait = Number((await fetch(`${base}/?user=ada`)).headers.get('retry-after'));
    assert.ok(wait > 50 && wait <= 60, `${wait}`);
  });
});
