// The JWT bearer grant (RFC 7523 section 2.1), which oidc-provider leaves to its users to add.
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const LONGEST = '1h';

/** Takes assertions for this token endpoint that a client of this server signed, with a key that it registered. */
export function registerJwtBearer(provider) {
  const verified = async (assertion, audience) => {
    try {
      const { iss } = decodeJwt(assertion);
      const issuer = await provider.Client.find(iss);
      const keys = createLocalJWKSet(issuer.jwks);
      const required = { issuer: iss, audience, maxTokenAge: LONGEST, requiredClaims: ['sub', 'iat', 'exp', 'jti'] };
      return (await jwtVerify(assertion, keys, required)).payload;
    } catch (error) {
      throw new errors.InvalidGrant(`the assertion is not valid: ${error.message}`);
    }
  };
  const handler = async (ctx) => {
    const { client, params } = ctx.oidc;
    if (!params.assertion) throw new errors.InvalidRequest('missing assertion');
    const { sub } = await verified(params.assertion, ctx.oidc.urlFor('token'));
    const token = new provider.ClientCredentials({ client, scope: params.scope });
    ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: token.expiration, scope: params.scope, subject: sub };
  };
  provider.registerGrantType(GRANT_TYPE, handler, ['assertion', 'scope']);
}
