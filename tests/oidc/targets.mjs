// What a token can be asked for: resources (RFC 8707), which are those of api.example.com, and authorization_details (RFC 9396) of the type
// payment. Whatever else is asked for is refused.
import { errors } from 'oidc-provider';

export const targets = {
  resourceIndicators: {
    enabled: true,
    getResourceServerInfo(ctx, resource) {
      if (new URL(resource).origin !== 'https://api.example.com') throw new errors.InvalidTarget();
      return { scope: 'api:read', audience: resource, accessTokenFormat: 'opaque' };
    },
  },
  richAuthorizationRequests: {
    enabled: true,
    types: {
      payment: {
        validate(ctx, detail) {
          if (!Number.isInteger(detail.limit)) throw new errors.InvalidAuthorizationDetails('limit is a whole number');
        },
      },
    },
    authorizationDetailsForGrantSource: (ctx, source) => JSON.parse(ctx.oidc.params.authorization_details ?? null) ?? source?.rar,
    authorizationDetailsForAccessToken: (ctx, token, source) => source?.rar ?? JSON.parse(ctx.oidc.params.authorization_details ?? null),
    authorizationDetailsForIntrospection: (ctx, token) => token.rar,
  },
};
