// A certified OpenID provider with a fresh signing key. Arguments: the port. Clients svc and dev get access tokens as JWTs for what they ask for.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
const client = (id) => ({
  client_id: id, client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_basic',
});
const groups = { svc: ['approvers'], dev: ['devs', 'others'], stranger: ['nobody-knows'] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: Object.keys(groups).map(client),
  jwks: { keys: [key] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:rynxs',
      getResourceServerInfo: (_context, resource) => ({ scope: 'use', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300 }),
    },
  },
  extraTokenClaims: (_context, token) => ({ groups: groups[token.clientId] }),
});
provider.listen(port, '127.0.0.1', () => console.log('up'));
