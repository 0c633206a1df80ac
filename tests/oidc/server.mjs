// A real OAuth server for the tests and the demo: oidc-provider, with short lifetimes and strict rotation.
// Prints one JSON line when it is ready: {"issuer", "port", "control_port", "control"}.
//
//   node server.mjs [--config FILE] [--host 127.0.0.1] [--port 0] [--control-port 0]
//                   [--access-token-ttl SECONDS] [--refresh-token-ttl SECONDS] [--rotation strict|none]
//                   [--reuse-grace-period SECONDS] [--device-code-ttl SECONDS] [--require-par]
//                   [--redirect-uri URI]… [--latency-ms N] [--log FILE] [--cert FILE --key FILE [--client-ca FILE]]
//                   [--exit-with-stdin]
//
// The config file is a JSON object with any of: host, port, controlPort, accessTokenTtl, refreshTokenTtl, rotation,
// reuseGracePeriod, redirectUris, latencyMs, log, cert, key, clientCa, clients (as in OpenID Connect Dynamic Client Registration), scopes.
// A flag wins over the file.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { parseArgs } from 'node:util';

import { createControl } from './control.mjs';
import { createProvider, defaultClients } from './provider.mjs';
import { Faults, RequestLog, tokenEndpoint } from './token-endpoint.mjs';

const DEFAULTS = {
  host: '127.0.0.1',
  port: 0,
  controlPort: 0,
  accessTokenTtl: 3600,
  refreshTokenTtl: 14 * 24 * 3600,
  rotation: 'strict',
  reuseGracePeriod: 0,
  deviceCodeTtl: 600,
  requirePar: false,
  redirectUris: ['https://client.example.com/callback'],
  latencyMs: 0,
  scopes: ['openid', 'offline_access', 'read', 'write'],
};

const settings = readSettings();
const server = settings.cert
  ? createHttpsServer({
    cert: readFileSync(settings.cert),
    key: readFileSync(settings.key),
    // Whether a certificate is needed, and which, is for each client: it is asked for, and none is refused here.
    ...(settings.clientCa && { ca: readFileSync(settings.clientCa), requestCert: true, rejectUnauthorized: false }),
  })
  : createHttpServer();
// The issuer names the port, so the port comes first.
const port = await listen(server, settings.port, settings.host);
const issuer = `${settings.cert ? 'https' : 'http'}://${settings.host}:${port}`;

const provider = await createProvider(issuer, settings);
const log = new RequestLog(settings.log);
const faults = new Faults(settings.latencyMs);
provider.use(tokenEndpoint(provider, log, faults));
server.on('request', provider.callback());

const control = createControl({ provider, faults, log });
const controlPort = await listen(control, settings.controlPort, '127.0.0.1');

const stop = () => process.exit(0);
process.on('SIGTERM', stop).on('SIGINT', stop);
// For a test that may be killed and can't clean up: its end closes the pipe.
if (settings.exitWithStdin) process.stdin.resume().on('end', stop);

console.log(JSON.stringify({ issuer, port, control_port: controlPort, control: `http://127.0.0.1:${controlPort}` }));

function readSettings() {
  const text = { type: 'string' };
  const { values: flags } = parseArgs({
    options: {
      config: text, host: text, port: text, 'control-port': text, 'access-token-ttl': text, 'refresh-token-ttl': text,
      rotation: text, 'reuse-grace-period': text, 'redirect-uri': { type: 'string', multiple: true }, 'latency-ms': text, log: text, cert: text,
      key: text, 'client-ca': text, 'exit-with-stdin': { type: 'boolean' }, 'device-code-ttl': text,
      'require-par': { type: 'boolean' },
    },
  });
  const given = {
    host: flags.host,
    port: wholeNumber(flags, 'port'),
    controlPort: wholeNumber(flags, 'control-port'),
    accessTokenTtl: wholeNumber(flags, 'access-token-ttl'),
    refreshTokenTtl: wholeNumber(flags, 'refresh-token-ttl'),
    rotation: flags.rotation,
    reuseGracePeriod: wholeNumber(flags, 'reuse-grace-period'),
    redirectUris: flags['redirect-uri'],
    latencyMs: wholeNumber(flags, 'latency-ms'),
    log: flags.log,
    cert: flags.cert,
    key: flags.key,
    clientCa: flags['client-ca'],
    exitWithStdin: flags['exit-with-stdin'],
    deviceCodeTtl: wholeNumber(flags, 'device-code-ttl'),
    requirePar: flags['require-par'],
  };
  const file = flags.config ? JSON.parse(readFileSync(flags.config, 'utf8')) : {};
  const unknown = Object.keys(file).find((name) => !(name in given || name in DEFAULTS || name === 'clients'));
  if (unknown) throw new Error(`${flags.config}: no setting is called ${unknown}`);
  const present = Object.entries(given).filter(([, value]) => value !== undefined);
  const merged = { ...DEFAULTS, ...file, ...Object.fromEntries(present) };
  if (!['strict', 'none'].includes(merged.rotation)) throw new Error(`--rotation ${merged.rotation}: strict or none`);
  if (!merged.cert !== !merged.key) throw new Error('--cert and --key go together');
  if (merged.clientCa && !merged.cert) throw new Error('--client-ca needs --cert');
  return { clients: defaultClients(merged.redirectUris), ...merged };
}

function wholeNumber(flags, name) {
  if (flags[name] === undefined) return undefined;
  if (!/^\d+$/.test(flags[name])) throw new Error(`--${name} ${flags[name]}: a whole number is needed`);
  return Number(flags[name]);
}

async function listen(listener, wantedPort, host) {
  listener.listen(wantedPort, host);
  await once(listener, 'listening');
  return listener.address().port;
}
