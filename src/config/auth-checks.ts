/**
 * Rules of `auth` across its keys and the listeners: is there somebody whom each mechanism lets in, and a mechanism for
 * each.
 */
import { showsPassword } from '../base/password-mechanisms.js';
import { checkAuthBackend } from './auth-backend-checks.js';
import type { Parts } from './checks.js';
import type { FileAuth, FileListener } from './schema.js';
import { bearerMechanisms, checkTokens } from './token-checks.js';
import type { FaultList } from './validate.js';

export function checkAuth(auth: FileAuth, parts: Parts, list: FaultList): void {
  checkAuthBackend(auth, list);
  checkBackendMechanisms(auth, list);
  checkTokens(auth, list);
  checkExternal(auth, parts, list);
}

/** Whether anybody could log in on this listener. */
export function letsAnybodyIn(auth: FileAuth, listener: FileListener): boolean {
  const { users, backend, tokens, mechanisms } = auth;
  return mechanisms.some((mechanism) => {
    if (mechanism === 'EXTERNAL') return listener.clientCertificate !== 'off';
    if (bearerMechanisms.has(mechanism)) return tokens !== undefined;
    return backend === 'users' ? users.file !== undefined : showsPassword(mechanism);
  });
}

function checkBackendMechanisms({ backend, mechanisms }: FileAuth, list: FaultList): void {
  if (backend === 'users' || mechanisms.some(showsPassword)) return;
  list.add(
    ['auth', 'mechanisms'],
    'found none that `auth.backend` can be asked with, expected PLAIN or LOGIN among them: the others need a users file, or something else than a password',
  );
}

function checkExternal({ mechanisms }: FileAuth, parts: Parts, list: FaultList): void {
  const index = mechanisms.indexOf('EXTERNAL');
  const asks = parts.listeners.some(
    (listener) =>
      listener === undefined || (listener.role === 'submission' && listener.clientCertificate !== 'off'),
  );
  if (index >= 0 && !asks)
    list.add(
      ['auth', 'mechanisms', index],
      'found EXTERNAL without a submission listener that asks for client certificates, expected one with `clientCertificate: ask` or `require`',
    );
}
