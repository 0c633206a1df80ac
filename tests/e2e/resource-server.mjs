// A protected resource (RFC 6750): takes a bearer token, asks the token server about it (RFC 7662), and answers 200 or 401. Every call is a
// line of its log: {time, token (a hash), active}. Prints the address that it listens at.
//
//   node resource-server.mjs HOST INTROSPECTION-URL CLIENT-ID CLIENT-SECRET LOG
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';

const [, , host, introspection, id, secret, path] = process.argv;
const log = openSync(path, 'a', 0o600);
const authorization = `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`;

const server = createServer(async (request, response) => {
  const [, token] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
  const reply = token && (await fetch(introspection, { method: 'POST', headers: { authorization }, body: new URLSearchParams({ token }) }));
  if (reply && !reply.ok) throw new Error(`the token server answered an introspection with ${reply.status}`);
  const active = Boolean(reply && (await reply.json()).active);
  const hash = token ? createHash('sha256').update(token).digest('hex') : null;
  writeSync(log, `${JSON.stringify({ time: new Date().toISOString(), caller: request.url, token: hash, active })}\n`);
  response.writeHead(active ? 200 : 401, active ? {} : { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
});
server.listen(0, host);
await once(server, 'listening');
console.log(`http://${host}:${server.address().port}`);
