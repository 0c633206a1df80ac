// The tests' remote control: plain JSON over HTTP, always on loopback. No product talks to it.
//   POST /config  {latencyMs?, fail?: {status, body?, headers?, count?, when?, cut?} | null}
//   POST /client  {client_id, client_secret}
//   POST /seed    {client_id, count?, scope?, account?}  → [{refresh_token, access_token}, …]
//   GET  /log     → every token request so far
import { createServer } from 'node:http';

import { changeClientSecret, mint } from './provider.mjs';

export function createControl({ provider, faults, log }) {
  const routes = {
    'GET /log': () => log.entries,
    'POST /config': (settings) => {
      faults.configure(settings);
      return {};
    },
    'POST /client': async ({ client_id, client_secret }) => (
      await changeClientSecret(provider, client_id, client_secret) ? {} : undefined
    ),
    'POST /seed': (wanted) => mint(provider, wanted),
  };

  return createServer(async (request, response) => {
    const reply = (status, value) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    const route = routes[`${request.method} ${request.url}`];
    if (!route) return reply(404, { error: 'no such route' });
    try {
      const text = Buffer.concat(await request.toArray()).toString();
      const result = await route(text ? JSON.parse(text) : {});
      return result === undefined ? reply(404, { error: 'no such client' }) : reply(200, result);
    } catch (error) {
      return reply(400, { error: error.message });
    }
  });
}
