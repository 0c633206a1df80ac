// Token exchange (RFC 8693), which oidc-provider leaves to its users to add.
import { errors } from 'oidc-provider';

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const PARAMETERS = [
  'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'scope', 'audience', 'resource',
];

/** Takes access tokens of this server alone, live ones; the reply says for whom it was made, and on whose behalf. */
export function registerTokenExchange(provider) {
  const client = async (token, type, name) => {
    if (type !== ACCESS_TOKEN) throw new errors.InvalidRequest(`${name}_type is not supported`);
    const found = (await provider.ClientCredentials.find(token)) ?? (await provider.AccessToken.find(token));
    if (!found) throw new errors.InvalidRequest(`${name} is not one of this server's, or has expired`);
    return found.clientId;
  };
  const handler = async (ctx) => {
    const { params } = ctx.oidc;
    if (!params.subject_token) throw new errors.InvalidRequest('missing subject_token');
    if (!params.actor_token !== !params.actor_token_type) throw new errors.InvalidRequest('actor_token and its type go together');
    if (params.requested_token_type && params.requested_token_type !== ACCESS_TOKEN) {
      throw new errors.InvalidRequest('requested_token_type is not supported');
    }
    const subject = await client(params.subject_token, params.subject_token_type, 'subject_token');
    const actor = params.actor_token && (await client(params.actor_token, params.actor_token_type, 'actor_token'));
    const token = new provider.ClientCredentials({ client: ctx.oidc.client, scope: params.scope });
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: token.expiration,
      scope: params.scope,
      audience: params.audience,
      subject,
      actor,
    };
  };
  provider.registerGrantType(GRANT_TYPE, handler, PARAMETERS);
}
