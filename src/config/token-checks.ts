/** Rules of `auth.tokens` across its keys. */
import type { FileAuth } from './schema.js';
import type { FaultList } from './validate.js';

/** The mechanisms that need `auth.tokens`. */
export const bearerMechanisms: ReadonlySet<string> = new Set(['OAUTHBEARER', 'XOAUTH2']);

export function checkTokens(auth: FileAuth, list: FaultList): void {
  const { tokens, mechanisms } = auth;
  const wantsTokens = mechanisms.findIndex((name) => bearerMechanisms.has(name));
  if (tokens === undefined) {
    if (wantsTokens >= 0)
      list.add(
        ['auth', 'mechanisms', wantsTokens],
        `found ${mechanisms[wantsTokens]} without \`auth.tokens\`, expected it to say how tokens are checked`,
      );
    return;
  }
  const path = ['auth', 'tokens'];
  if (wantsTokens < 0)
    list.add(
      path,
      'found tokens that no mechanism takes, expected OAUTHBEARER or XOAUTH2 in `auth.mechanisms`',
      'key',
    );
  const { jwks, introspection } = tokens;
  if ((jwks === undefined) === (introspection === undefined))
    list.add(path, `found ${jwks ? 'both' : 'neither'}, expected one of jwks and introspection`, 'key');
  if (jwks !== undefined && (jwks.url === undefined) === (jwks.file === undefined))
    list.add(
      [...path, 'jwks'],
      `found ${jwks.url === undefined ? 'neither' : 'both'}, expected one of url and file`,
      'key',
    );
  if (introspection === undefined) return;
  const { clientId, clientSecretFile } = introspection;
  if ((clientId === undefined) !== (clientSecretFile === undefined))
    list.add(
      [...path, 'introspection'],
      'found one of clientId and clientSecretFile, expected both or neither',
      'key',
    );
}
