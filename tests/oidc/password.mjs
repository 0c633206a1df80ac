// The resource owner password credentials grant (RFC 6749 section 4.3), which oidc-provider leaves to its users to add.
import { errors } from 'oidc-provider';

const SCOPES = 'openid offline_access';

/** Everybody's password is `<name>-password`. A client that may refresh gets a refresh token, as with any grant. */
export function registerPasswordGrant(provider) {
  const handler = async (ctx) => {
    const { client, params } = ctx.oidc;
    const { username, password, scope = SCOPES } = params;
    if (!username || password !== `${username}-password`) throw new errors.InvalidGrant('wrong user name or password');

    const grant = new provider.Grant({ accountId: username, clientId: client.clientId });
    grant.addOIDCScope(scope);
    const grantId = await grant.save();
    const issued = { client, accountId: username, grantId, scope, gty: 'password', expiresWithSession: false };
    const accessToken = new provider.AccessToken(issued);
    ctx.body = { access_token: await accessToken.save(), expires_in: accessToken.expiration, scope, token_type: 'Bearer' };
    if (client.grantTypeAllowed('refresh_token')) {
      const authTime = Math.floor(Date.now() / 1000);
      ctx.body.refresh_token = await new provider.RefreshToken({ ...issued, authTime, rotations: 0 }).save();
    }
  };
  provider.registerGrantType('password', handler, ['username', 'password', 'scope']);
}
