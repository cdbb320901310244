import type { BackendLogin } from '../../src/policy/login.js';

/** As from a client at 192.0.2.1. */
export function login(user: string, password: string): BackendLogin {
  const origin = { address: '192.0.2.1', listener: 'submission', sessionId: 'S1', isKnown: false };
  return { mechanism: 'PLAIN', user, password, origin };
}
