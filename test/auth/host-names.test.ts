/** Names of backends are asked of the servers of the config's `dns`, not of getaddrinfo. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';

import type { Backend } from '../../src/auth/backend.js';
import { DovecotBackend } from '../../src/auth/dovecot-backend.js';
import { HttpBackend } from '../../src/auth/http-backend.js';
import { LdapBackend } from '../../src/auth/ldap-backend.js';
import { HostAddresses } from '../../src/base/host-addresses.js';
import { startFakeDns, type FakeDns } from '../support/fake-dns.js';
import { login } from './logins.js';

const host = 'backend.example';
let dns: FakeDns;
let server: Server;
let connections = 0;
let port = 0;

beforeAll(async () => {
  dns = await startFakeDns((name) => (name === host ? { addresses: ['127.0.0.1'] } : 'nxdomain'));
  server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
});

afterAll(async () => {
  server.close();
  await dns.close();
});

beforeEach(() => {
  connections = 0;
});

const ldap = (tls: 'off' | 'implicit') => (name: string) =>
  LdapBackend.open({
    server: { host: name, port, tls, ca: undefined, lookup: lookup() },
    find: { dn: 'uid={user},dc=x' },
  });

function lookup(): HostAddresses['lookup'] {
  return new HostAddresses([dns.server], 'AUTH_UNREACHABLE').lookup;
}

it.each<[string, (name: string) => Backend | Promise<Backend>]>([
  ['dovecot', (name) => new DovecotBackend({ target: { host: name, port }, service: 's', lookup: lookup() })],
  [
    'http',
    (name) =>
      new HttpBackend({
        url: `http://${name}:${port}/`,
        token: undefined,
        secret: undefined,
        ca: undefined,
        connections: 1,
        lookup: lookup(),
      }),
  ],
  ['ldap', ldap('off')],
  ['ldaps', ldap('implicit')],
])('%s', async (_, open) => {
  const found = await open(host);
  await expect(found.ask(login('a', 'b'), AbortSignal.timeout(5_000))).rejects.toMatchObject({
    code: 'AUTH_UNREACHABLE',
  });
  expect(connections).toBeGreaterThan(0);
  found.close();
  const gone = await open('gone.example');
  await expect(gone.ask(login('a', 'b'), AbortSignal.timeout(5_000))).rejects.toMatchObject({
    code: 'AUTH_UNREACHABLE',
    message: expect.stringContaining('no address for gone.example'),
  });
  gone.close();
});
