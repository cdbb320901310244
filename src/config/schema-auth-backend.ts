/** The table of `auth.backend`: who says whether a password is right, other than the users file. */
import { literal, union } from 'zod';
import { literalPart } from '../base/name-template.js';
import { duration, flag, integer, parsedText, path, section, text } from './fields.js';
import {
  isHttpUrl,
  isNameTemplate,
  isLoginText,
  isToken,
  parseDovecotSocket,
  parseLdapUrl,
} from './formats.js';

const bounds = {
  timeout: duration('100ms', '1m')
    .prefault('10s')
    .describe('Longest wait of one login for its answer, the time in the line included; then it gets 454.'),
  concurrent: integer(1, 1_000).prefault(20).describe('Logins that one worker asks about at once.'),
  waiting: integer(0, 100_000)
    .prefault(500)
    .describe(
      'Logins of one worker that wait for their turn, and as many more of users who are known where they come from; more get 454.',
    ),
} as const;

const plaintext = flag()
  .prefault(false)
  .describe('true: passwords may go unencrypted to another machine. Without it only to this one.');

const dovecot = section({
  socket: parsedText('a path, or host:port', parseDovecotSocket).describe(
    "Dovecot's socket for authentication clients, such as /run/dovecot/auth-client, or host:port of its inet_listener.",
  ),
  service: text('1 to 32 letters, digits and -', (value) => /^[A-Za-z0-9-]{1,32}$/.test(value))
    .prefault('smtp')
    .describe("What Dovecot's rules know us by."),
  plaintext,
  ...bounds,
});

const secretText = '16 to 256 printable ASCII characters without spaces';

const http = section({
  url: text('https://… or http://…, without a user or a fragment', isHttpUrl).describe(
    'Where each login is posted to as JSON; deploy/AUTH.md describes it.',
  ),
  ca: path()
    .optional()
    .describe("PEM file of the certificate authorities for https. Left out: the system's."),
  token: text(secretText, isToken).optional().describe('Sent as bearer token; or `tokenFile`.'),
  tokenFile: path().optional().describe('Text file with the token on its one line.'),
  secret: text(secretText, isToken)
    .optional()
    .describe('Key of the HMAC-SHA256 in the header Postern-Signature; or `secretFile`.'),
  secretFile: path().optional().describe('Text file with that key on its one line.'),
  plaintext,
  ...bounds,
});

const template = 'with {user}, or {local} and {domain}';

const search = section({
  base: text('a DN', isLoginText).describe('Where the search begins; it goes through all below.'),
  filter: text(`a filter ${template}`, (value) => value.startsWith('(') && isNameTemplate(value)).describe(
    'The filter that finds one entry, such as (&(objectClass=person)(mail={user})).',
  ),
  bindDn: text('a DN', (value) => isLoginText(value) && value.includes('='))
    .optional()
    .describe('Who searches. Left out: nobody, where the directory lets nobody search.'),
  password: text('1 to 255 octets without line ends', isLoginText)
    .optional()
    .describe('The password of `bindDn`; or `passwordFile`.'),
  passwordFile: path().optional().describe('Text file with that password on its one line.'),
});

const ldap = section({
  url: parsedText('ldap://host:port or ldaps://host:port', parseLdapUrl).describe('The directory.'),
  startTls: flag()
    .prefault(true)
    .describe('With ldap://: TLS by StartTLS before anything else (RFC 4511 §4.14).'),
  ca: path().optional().describe("PEM file of its certificate authorities. Left out: the system's."),
  dn: text(
    `a DN ${template}, or {user}@domain`,
    // Alone, a user's name would be the whole name of the bind.
    (value) => isNameTemplate(value) && /[=@\\]/.test(literalPart(value)),
  )
    .optional()
    .describe('The DN that a user binds with, such as uid={user},ou=people,dc=example,dc=org; or `search`.'),
  search: search.optional().describe('Finds the DN by a search.'),
  plaintext,
  ...bounds,
});

export const backend = union(
  [
    literal('users', { error: 'users, or a map of dovecot, http or ldap' }),
    section({
      dovecot: dovecot.optional().describe("Dovecot's auth service, which has the users of its own."),
      http: http.optional().describe('A service of your own.'),
      ldap: ldap.optional().describe('A directory; needs the package ldapts.'),
    }),
  ],
  { error: 'users, or a map of dovecot, http or ldap' },
)
  .meta({ kind: 'users, or a map of dovecot, http or ldap' })
  .prefault('users')
  .describe('Who says whether a password is right: the users file, or one of these.');

export const cacheTtl = duration('0', '1h')
  .prefault('1m')
  .describe(
    'How long a worker takes a login for right that a backend has found right; a changed password works that much longer. 0: not at all.',
  );
