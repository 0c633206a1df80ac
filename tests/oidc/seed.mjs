// Gets a first refresh token, in one of three ways; prints JSON.
//
//   node seed.mjs --issuer URL --client ID [--secret S] [--auth post|basic|none] [--redirect-uri URI] [--scope S] [--login NAME]
//     walks the whole authorization code flow (PKCE, login, consent, exchange): {"refresh_token", "access_token"}
//   node seed.mjs --control URL --client ID --count N [--scope S] [--login NAME]
//     for volume: the server mints N of them, each under a grant of its own: [{"refresh_token", "access_token"}, …]
//   node seed.mjs --consent URL [--login NAME] [--deny]
//     only the person's part, for an authorization URL or a device page that someone else made: {"redirect"}
//
// For a server with a certificate of one's own, NODE_EXTRA_CA_CERTS names its CA.
import { createHash, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';

import { consent } from './consent.mjs';

const text = { type: 'string' };
const { values: flags } = parseArgs({
  options: {
    issuer: text, client: text, secret: text, auth: text, 'redirect-uri': text, scope: text, login: text,
    control: text, count: text, consent: text, deny: { type: 'boolean' },
  },
});

if (flags.consent) print({ redirect: await consent(flags.consent, { login: flags.login, deny: flags.deny }) });
else if (flags.count) print(await minted());
else print(await consented());

async function minted() {
  const response = await fetch(new URL('/seed', flags.control), {
    method: 'POST',
    body: JSON.stringify({ client_id: flags.client, count: Number(flags.count), scope: flags.scope, account: flags.login }),
  });
  if (!response.ok) throw new Error(`the control endpoint answered ${response.status}: ${await response.text()}`);
  return response.json();
}

async function consented() {
  const metadata = await (await fetch(`${flags.issuer}/.well-known/openid-configuration`)).json();
  const redirectUri = flags['redirect-uri'] ?? 'https://client.example.com/callback';
  const state = randomBytes(16).toString('base64url');
  const verifier = randomBytes(32).toString('base64url');

  const authorization = new URL(metadata.authorization_endpoint);
  authorization.search = new URLSearchParams({
    response_type: 'code',
    client_id: flags.client,
    redirect_uri: redirectUri,
    scope: flags.scope ?? 'openid offline_access',
    prompt: 'consent', // OpenID Connect Core section 11: without it offline_access is ignored
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const reply = new URL(await consent(authorization.href, { login: flags.login })).searchParams;
  if (reply.get('error')) throw new Error(`consent failed: ${reply.get('error')}`);
  if (reply.get('state') !== state) throw new Error('the state came back changed');
  if (reply.get('iss') !== metadata.issuer) throw new Error('another issuer answered (RFC 9207)');

  const tokens = await exchange(metadata.token_endpoint, {
    grant_type: 'authorization_code', code: reply.get('code'), redirect_uri: redirectUri, code_verifier: verifier,
  });
  return { refresh_token: tokens.refresh_token, access_token: tokens.access_token };
}

async function exchange(endpoint, parameters) {
  const method = flags.auth ?? (flags.secret ? 'post' : 'none');
  const headers = {};
  if (method === 'basic') {
    const user = [flags.client, flags.secret].map(encodeURIComponent).join(':');
    headers.authorization = `Basic ${Buffer.from(user).toString('base64')}`;
  } else {
    parameters.client_id = flags.client;
    if (method === 'post') parameters.client_secret = flags.secret;
  }
  const response = await fetch(endpoint, { method: 'POST', headers, body: new URLSearchParams(parameters) });
  const body = await response.json();
  if (!response.ok) throw new Error(`the token endpoint answered ${response.status} ${body.error}`);
  return body;
}

function print(value) {
  console.log(JSON.stringify(value));
}
