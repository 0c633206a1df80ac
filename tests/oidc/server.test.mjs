// The server's own promises, checked over HTTP against the process that other tests start.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const here = import.meta.dirname;
const run = promisify(execFile);
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

const folder = mkdtempSync(join(tmpdir(), 'oidc-test-'));
const logFile = join(folder, 'requests.jsonl');
let server;

before(async () => {
  server = await start('--access-token-ttl', '2', '--log', logFile);
});
after(() => {
  server.process.kill();
  rmSync(folder, { recursive: true });
});

async function start(...flags) {
  const child = spawn(process.execPath, ['server.mjs', '--exit-with-stdin', ...flags], {
    cwd: here, stdio: ['pipe', 'pipe', 'ignore'],
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  return { process: child, ...JSON.parse(line) };
}

async function seed(...flags) {
  const { stdout } = await run(process.execPath, ['seed.mjs', ...flags], { cwd: here });
  return JSON.parse(stdout);
}

async function control(path, settings) {
  const response = await fetch(server.control + path, settings && { method: 'POST', body: JSON.stringify(settings) });
  return { status: response.status, body: await response.json() };
}

async function mintOne(clientId = 'web-post') {
  const { body } = await control('/seed', { client_id: clientId });
  return body[0].refresh_token;
}

async function post(path, parameters, basic) {
  const headers = basic && { authorization: `Basic ${Buffer.from(basic).toString('base64')}` };
  const response = await fetch(server.issuer + path, { method: 'POST', headers, body: new URLSearchParams(parameters) });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) };
}

function refresh(refreshToken, secret = 'web-post-secret') {
  return post('/token', {
    grant_type: 'refresh_token', refresh_token: refreshToken, client_id: 'web-post', client_secret: secret,
  });
}

async function isActive(token) {
  return (await post('/token/introspection', { token }, 'web-basic:web-basic-secret')).json().active;
}

test('the whole authorization code flow gives each kind of client a refresh token', async () => {
  for (const flags of [
    ['web-post', '--secret', 'web-post-secret'],
    ['web-basic', '--secret', 'web-basic-secret', '--auth', 'basic'],
    ['web-public'],
  ]) {
    const tokens = await seed('--issuer', server.issuer, '--client', ...flags);
    assert.deepEqual(Object.keys(tokens), ['refresh_token', 'access_token'], flags[0]);
    assert.equal(await isActive(tokens.refresh_token), true, flags[0]);
  }
});

test('a device flow is approved by following its page', async () => {
  const device = (await post('/device/auth', { client_id: 'web-public', scope: 'openid offline_access' })).json();
  const poll = () => post('/token', {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: device.device_code, client_id: 'web-public',
  });
  assert.equal((await poll()).json().error, 'authorization_pending');
  await seed('--consent', device.verification_uri_complete);
  assert.ok((await poll()).json().refresh_token);
});

test('1,000 seeds come at once, each with a grant of its own', async () => {
  const seeds = await seed('--control', server.control, '--client', 'web-post', '--count', '1000');
  assert.equal(new Set(seeds.map((tokens) => tokens.refresh_token)).size, 1000);
  const [first, second] = [seeds.at(0), seeds.at(-1)];
  await refresh(first.refresh_token);
  await refresh(first.refresh_token); // a replay: it ends this grant, and no other
  assert.equal((await refresh(second.refresh_token)).status, 200);
});

test('a replay is refused, kills the newest refresh token as well, and the log marks it', async () => {
  const first = await mintOne();
  const second = (await refresh(first)).json().refresh_token;
  assert.notEqual(second, first);
  assert.equal(await isActive(second), true);

  const replay = await refresh(first);
  assert.equal(replay.status, 400);
  assert.equal(replay.json().error, 'invalid_grant');
  const newest = await refresh(second);
  assert.equal(newest.status, 400);
  assert.equal(newest.json().error, 'invalid_grant');

  const told = ({ refresh_token_sha256, status, error, rotated, replay: replayed }) => (
    [refresh_token_sha256, status, error, rotated, replayed]
  );
  const expected = [
    [sha256(first), 200, null, true, false],
    [sha256(first), 400, 'invalid_grant', false, true],
    [sha256(second), 400, 'invalid_grant', false, false],
  ];
  assert.deepEqual((await control('/log')).body.slice(-3).map(told), expected);
  const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n');
  assert.deepEqual(lines.slice(-3).map((line) => told(JSON.parse(line))), expected);
  assert.ok(!lines.join().includes(first) && !lines.join().includes(second), 'a token itself is in the log');
});

test('of two requests with one refresh token at once, one wins, and the grant is dead', async () => {
  const token = await mintOne();
  const replies = await Promise.all([refresh(token), refresh(token)]);
  assert.deepEqual(replies.map((reply) => reply.status).sort(), [200, 400]);
  const won = replies.find((reply) => reply.status === 200).json().refresh_token;
  assert.equal((await refresh(won)).json().error, 'invalid_grant');
});

test('an access token lives as long as it was told to', async () => {
  const { access_token: token, expires_in: seconds } = (await refresh(await mintOne())).json();
  assert.equal(seconds, 2);
  assert.equal(await isActive(token), true);
  await delay(2100); // real time is what is tested here
  assert.equal(await isActive(token), false);
});

test('client credentials, by Basic and by post, each only as registered', async () => {
  const request = { grant_type: 'client_credentials', scope: 'read' };
  const posted = { ...request, client_id: 'machine-post', client_secret: 'machine-post-secret' };
  for (const reply of [await post('/token', request, 'machine-basic:machine-basic-secret'), await post('/token', posted)]) {
    assert.equal(reply.status, 200);
    const { access_token: token, expires_in: seconds, scope, token_type: type } = reply.json();
    assert.ok(token);
    assert.deepEqual([seconds, scope, type], [2, 'read', 'Bearer']);
  }
  const wrong = await post('/token', request, 'machine-basic:wrong');
  assert.deepEqual([wrong.status, wrong.json().error], [401, 'invalid_client']);
  assert.equal((await control('/log')).body.at(-1).client_id, 'machine-basic');
});

test('a revoked refresh token is dead', async () => {
  const token = await mintOne();
  const reply = await post('/token/revocation', { token, client_id: 'web-post', client_secret: 'web-post-secret' });
  assert.equal(reply.status, 200);
  assert.equal((await refresh(token)).json().error, 'invalid_grant');
});

test('a failure before the provider spends nothing, and counts down', async () => {
  const token = await mintOne();
  await control('/config', { fail: { status: 503, body: 'down', headers: { 'retry-after': '7' }, count: 2 } });
  for (let i = 0; i < 2; i += 1) {
    const reply = await refresh(token);
    assert.deepEqual([reply.status, reply.text, reply.headers.get('retry-after')], [503, 'down', '7']);
    const { refresh_token_sha256: hash, status, injected, rotated } = (await control('/log')).body.at(-1);
    assert.deepEqual([hash, status, injected, rotated], [sha256(token), 503, true, false]);
  }
  assert.equal((await refresh(token)).status, 200);
});

test('a failure after the provider loses what the token bought', async () => {
  for (const [fail, status] of [[{ cut: true }, null], [{ status: 502, body: '<h1>Bad gateway</h1>' }, 502]]) {
    const token = await mintOne();
    await control('/config', { fail: { ...fail, when: 'after' } });
    if (fail.cut) await assert.rejects(refresh(token));
    else assert.equal((await refresh(token)).status, status);
    const entry = (await control('/log')).body.at(-1);
    assert.deepEqual([entry.status, entry.injected, entry.rotated], [status, true, true]);
    assert.equal((await refresh(token)).json().error, 'invalid_grant');
  }
});

test('latency is added while it is asked for', async () => {
  await control('/config', { latencyMs: 300 });
  const began = performance.now();
  await refresh(await mintOne());
  assert.ok(performance.now() - began >= 295);
  await control('/config', { latencyMs: 0 });
});

test('a client secret changes while the server runs', async () => {
  const token = await mintOne();
  await control('/client', { client_id: 'web-post', client_secret: 'changed' });
  const old = await refresh(token);
  assert.deepEqual([old.status, old.json().error], [401, 'invalid_client']);
  assert.equal((await refresh(token, 'changed')).status, 200);
  await control('/client', { client_id: 'web-post', client_secret: 'web-post-secret' });
  assert.equal((await control('/client', { client_id: 'nobody', client_secret: 'x' })).status, 404);
});

test('without rotation the same refresh token keeps working', async () => {
  const lenient = await start('--rotation', 'none');
  try {
    const [{ refresh_token: token }] = await seed('--control', lenient.control, '--client', 'web-public', '--count', '1');
    for (let i = 0; i < 2; i += 1) {
      const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, client_id: 'web-public' });
      const reply = await (await fetch(`${lenient.issuer}/token`, { method: 'POST', body })).json();
      assert.equal(reply.refresh_token, token);
    }
  } finally {
    lenient.process.kill();
  }
});

test('within the grace a spent refresh token works on, and after it the grant is dead', async () => {
  const graceful = await start('--reuse-grace-period', '1');
  try {
    const [{ refresh_token: first }] = await seed('--control', graceful.control, '--client', 'web-public', '--count', '1');
    const ask = async (token) => {
      const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, client_id: 'web-public' });
      return (await fetch(`${graceful.issuer}/token`, { method: 'POST', body })).json();
    };
    const pairs = [await ask(first), await ask(first)];
    assert.equal(new Set([first, ...pairs.map((pair) => pair.refresh_token)]).size, 3);
    const third = (await ask(pairs[1].refresh_token)).refresh_token; // either successor is good
    await delay(1100); // real time is what is tested here
    assert.equal((await ask(first)).error, 'invalid_grant');
    assert.equal((await ask(third)).error, 'invalid_grant');

    const log = await (await fetch(`${graceful.control}/log`)).json();
    assert.deepEqual(log.map(({ rotated, replay }) => [rotated, replay]), [
      [true, false], [true, true], [true, false], [false, true], [false, false],
    ]);
    const committed = log.slice(0, 3).map((entry) => entry.committed_us);
    assert.deepEqual(committed, committed.toSorted((a, b) => a - b));
    assert.ok(committed[2] <= Number(process.hrtime.bigint() / 1000n));
    assert.equal(log[3].committed_us, null);
  } finally {
    graceful.process.kill();
  }
});

test('the server ends with its standard input', async () => {
  const orphan = await start();
  orphan.process.stdin.end();
  const [code] = await once(orphan.process, 'exit');
  assert.equal(code, 0);
});
