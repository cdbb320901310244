/** Certificates that clients may show: `joe` is good, `expired` and `stranger` are what their names say (tls/make.sh). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from './postern.js';

const folder = join(root, 'test/support/tls/clients');

export type ClientName = 'joe' | 'expired' | 'stranger' | 'server';

/** Signs the good ones. */
export const clientAuthority = join(folder, 'authority.crt');

export function clientFile(name: ClientName, end: 'crt' | 'key'): string {
  return join(folder, `${name}.${end}`);
}

/** As node:tls takes it. */
export function clientIdentity(name: ClientName): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(clientFile(name, 'crt')), key: readFileSync(clientFile(name, 'key')) };
}
