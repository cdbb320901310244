/** The table of `auth`: which mechanisms, and what logins are checked against. */
import { choice, duration, listOf, path, section, text } from './fields.js';
import { isLoginText, isServiceUrl } from './formats.js';
import { backend, cacheTtl } from './schema-auth-backend.js';

/** What an operator can name. -PLUS is not: it goes with its mechanism wherever the channel can be bound. */
const mechanismNames = [
  'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN', 'OAUTHBEARER', 'XOAUTH2', 'EXTERNAL', 'CRAM-MD5',
] as const; // prettier-ignore

/** Asymmetric ones alone: with a shared secret whoever can check a token could make one (RFC 8725 §3.1). */
const algorithms = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519',
] as const; // prettier-ignore

const url = () => text('an https:// URL without a user name; http:// on loopback alone', isServiceUrl);
const claim = () => text('1 to 255 octets without line ends', isLoginText);

const jwks = section({
  url: url()
    .optional()
    .describe(
      'Where the issuer publishes its JWK set; or `file`. Asked when a token comes, kept 10 minutes.',
    ),
  file: path().optional().describe('JSON file with the JWK set; read at start and at reload.'),
  issuer: claim().describe('What `iss` of a token must be.'),
  audience: claim().describe('What `aud` of a token must be or have: this service, as its issuer calls it.'),
  algorithms: listOf(choice(algorithms), 'algorithms', 1, algorithms.length)
    .prefault(['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'])
    .describe('Signatures that are taken.'),
  userClaim: claim()
    .prefault('sub')
    .describe(
      'The claim that is the user name; `email` is not taken where `email_verified` is there and not true.',
    ),
});

const introspection = section({
  url: url().describe('The introspection endpoint (RFC 7662).'),
  clientId: claim().optional().describe('Who we are to it (HTTP Basic). Left out: nobody.'),
  clientSecretFile: path().optional().describe('Text file with our secret on its one line.'),
  issuer: claim().optional().describe('What `iss` of the answer must be. Left out: anything.'),
  audience: claim().optional().describe('What `aud` of the answer must be or have. Left out: anything.'),
  userClaim: claim().prefault('username').describe('The member of the answer that is the user name.'),
  cacheFor: duration('0', '1h')
    .prefault('2m')
    .describe(
      'How long a token is believed without asking again, never past its end; 0: each is asked about.',
    ),
});

const tokens = section({
  jwks: jwks.optional().describe('Tokens are JWTs, checked against keys. Needs the package jose.'),
  introspection: introspection.optional().describe('Tokens are asked about, one by one.'),
  scope: claim().optional().describe('A scope that a token must have. Left out: none.'),
  clockSkew: duration('0', '5m')
    .prefault('30s')
    .describe("How far the issuer's clock may be from this one's."),
  timeout: duration('100ms', '30s').prefault('5s').describe('Wait for the issuer; then 454.'),
});

export const auth = section({
  mechanisms: listOf(choice(mechanismNames), 'mechanisms', 1, mechanismNames.length)
    .prefault(['SCRAM-SHA-256', 'PLAIN', 'LOGIN'])
    .describe(
      'SASL mechanisms, offered inside TLS only, and only where every user has what they need: SCRAM-SHA-1 and CRAM-MD5 `postern users add --scram-sha-1` and `--cram-md5`, OAUTHBEARER and XOAUTH2 `tokens`, EXTERNAL a client certificate. SCRAM comes with its -PLUS inside TLS 1.3.',
    ),
  users: section({
    file: path().optional().describe('The file that `postern users` keeps. Left out: it lets nobody log in.'),
  })
    .prefault({})
    .describe('Who can log in on submission listeners.'),
  backend,
  cache: cacheTtl,
  tokens: tokens
    .optional()
    .describe('Logins with bearer tokens, by OAUTHBEARER and XOAUTH2. Left out: none.'),
});
