// How oidc-provider is set up for the tests: its clients, its lifetimes, its rotation.
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';

import Provider from 'oidc-provider';

import { registerJwtBearer } from './jwt-bearer.mjs';
import { registerPasswordGrant } from './password.mjs';
import { createStore } from './store.mjs';
import { targets } from './targets.mjs';
import { registerTokenExchange } from './token-exchange.mjs';

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';

/** One client for each way to authenticate, for a person's grants and for a machine's. */
export function defaultClients(redirectUris) {
  const web = {
    redirect_uris: redirectUris,
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
    authorization_details_types: ['payment'],
  };
  const user = { redirect_uris: [], response_types: [], grant_types: ['password', 'refresh_token'] };
  const exchanger = { redirect_uris: [], response_types: [], grant_types: ['urn:ietf:params:oauth:grant-type:token-exchange'] };
  const machine = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'], authorization_details_types: ['payment'] };
  return [
    { ...web, client_id: 'web-post', client_secret: 'web-post-secret', token_endpoint_auth_method: 'client_secret_post' },
    { ...web, client_id: 'web-basic', client_secret: 'web-basic-secret', token_endpoint_auth_method: 'client_secret_basic' },
    { ...web, client_id: 'web-public', token_endpoint_auth_method: 'none' },
    { ...user, client_id: 'user-post', client_secret: 'user-post-secret', token_endpoint_auth_method: 'client_secret_post' },
    { ...user, client_id: 'user-once', grant_types: ['password'], token_endpoint_auth_method: 'none' },
    { ...exchanger, client_id: 'exchanger', client_secret: 'exchanger-secret', token_endpoint_auth_method: 'client_secret_basic' },
    { ...machine, client_id: 'machine-post', client_secret: 'machine-post-secret', token_endpoint_auth_method: 'client_secret_post' },
    { ...machine, client_id: 'machine-basic', client_secret: 'machine-basic-secret', token_endpoint_auth_method: 'client_secret_basic' },
  ];
}

/**
 * @param {string} issuer
 * @param {object} settings accessTokenTtl and refreshTokenTtl in seconds; rotation 'strict' (each refresh token works once)
 *   or 'none' (it stays); reuseGracePeriod in seconds, for which a refresh token works on after its first use; clients and
 *   scopes as oidc-provider has them
 */
export async function createProvider(issuer, settings) {
  const { accessTokenTtl, refreshTokenTtl, rotation, reuseGracePeriod, deviceCodeTtl, requirePar, clients, scopes } = settings;
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const provider = new Provider(issuer, {
    adapter: createStore(reuseGracePeriod * 1000),
    // By way of PEM: Node 20 can wait for itself when it collects what generated a key that is being exported as a JWK.
    jwks: { keys: [createPrivateKey(privateKey).export({ format: 'jwk' })] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    scopes,
    clientAuthMethods: [
      'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth',
      'self_signed_tls_client_auth', 'none',
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: [
        'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA',
      ],
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      mTLS: {
        enabled: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.req.socket.getPeerX509Certificate?.(),
        certificateAuthorized: (ctx) => ctx.req.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) => (
          property === 'tls_client_auth_san_dns'
          && ctx.req.socket.getPeerX509Certificate().checkHost(expected, { subject: 'never' }) !== undefined
        ),
      },
      revocation: { enabled: true },
      ...targets,
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: requirePar },
    },
    // As numbers, and Grant no shorter than what hangs on it. A public client's refresh tokens too get a full lifetime at
    // each rotation: by default they would inherit what was left.
    ttl: {
      AccessToken: accessTokenTtl,
      ClientCredentials: accessTokenTtl,
      DeviceCode: deviceCodeTtl,
      Grant: refreshTokenTtl + 3600,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: refreshTokenTtl,
      Session: refreshTokenTtl + 3600,
    },
    rotateRefreshToken: rotation === 'strict',
  });
  registerPasswordGrant(provider);
  registerTokenExchange(provider);
  registerJwtBearer(provider);
  // In the store and not in the configuration: clients given there can't change while the server runs.
  for (const client of clients) await provider.Client.adapter.upsert(client.client_id, client);
  return provider;
}

/** Makes each later request of this client prove itself with the new secret. Returns false where there is no such client. */
export async function changeClientSecret(provider, clientId, clientSecret) {
  const metadata = await provider.Client.adapter.find(clientId);
  if (!metadata) return false;
  await provider.Client.adapter.upsert(clientId, { ...metadata, client_secret: clientSecret });
  return true;
}

/** As many tokens as asked for, each under a grant of its own, without the pages a person would go through. */
export async function mint(provider, { client_id, count = 1, scope = 'openid offline_access', account = 'seeded' }) {
  const client = await provider.Client.find(client_id);
  if (!client?.grantTypeAllowed('refresh_token')) return undefined;
  const tokens = [];
  for (let i = 0; i < count; i += 1) {
    const grant = new provider.Grant({ accountId: account, clientId: client_id });
    grant.addOIDCScope(scope);
    const grantId = await grant.save();
    const issued = { client, accountId: account, grantId, scope, gty: 'authorization_code', expiresWithSession: false };
    const authTime = Math.floor(Date.now() / 1000);
    tokens.push({
      refresh_token: await new provider.RefreshToken({ ...issued, authTime, rotations: 0 }).save(),
      access_token: await new provider.AccessToken(issued).save(),
    });
  }
  return tokens;
}
