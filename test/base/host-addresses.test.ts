import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { HostAddresses } from '../../src/base/host-addresses.js';
import { startFakeDns, type FakeDns } from '../support/fake-dns.js';

let dns: FakeDns;
let directory = '';
let hosts = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-hosts-'));
  hosts = join(directory, 'hosts');
  await writeFile(
    hosts,
    '127.0.0.1 box # not.this\n\n192.0.2.7 Store.example  store\nnonsense store\n::1 box\n',
  );
  dns = await startFakeDns((name) =>
    name === 'mx.example' ? { addresses: ['192.0.2.1', '192.0.2.2'] } : 'nxdomain',
  );
});

afterAll(async () => {
  await dns.close();
  await rm(directory, { recursive: true });
});

describe('the addresses of a host', () => {
  it.each([
    ['an IPv4 literal is itself', '192.0.2.9', ['192.0.2.9']],
    ['an IPv6 literal is itself', '2001:db8::1', ['2001:db8::1']],
    ['the hosts file comes first', 'store', ['192.0.2.7']],
    ['the hosts file knows no case', 'STORE.example', ['192.0.2.7']],
    ['one name may have several lines', 'box', ['127.0.0.1', '::1']],
    ['localhost needs no file', 'localhost', ['127.0.0.1', '::1']],
    ['everything else is asked of DNS', 'mx.example', ['192.0.2.1', '192.0.2.2']],
  ])('%s', async (_name, host, found) => {
    await expect(new HostAddresses([dns.server], 'RELAY_CONNECT', hosts).find(host)).resolves.toEqual(found);
  });

  it('a comment in the hosts file is no name, and an unknown name is RELAY_CONNECT', async () => {
    const addresses = new HostAddresses([dns.server], 'RELAY_CONNECT', hosts);
    await expect(addresses.find('not.this')).rejects.toMatchObject({ code: 'RELAY_CONNECT' });
  });

  it('a missing hosts file is an empty one', async () => {
    const addresses = new HostAddresses([dns.server], 'RELAY_CONNECT', join(directory, 'none'));
    await expect(addresses.find('localhost')).resolves.toEqual(['127.0.0.1', '::1']);
  });

  it('asks once for a burst, and again after a failure', async () => {
    const addresses = new HostAddresses([dns.server], 'RELAY_CONNECT', hosts);
    const before = dns.names.filter((name) => name === 'mx.example').length;
    await Promise.all(Array.from({ length: 20 }, () => addresses.find('mx.example')));
    await addresses.find('mx.example');
    // One A and one AAAA question.
    expect(dns.names.filter((name) => name === 'mx.example').length - before).toBeLessThanOrEqual(2);
    await expect(addresses.find('gone.example')).rejects.toThrow('no address');
    const asked = dns.names.filter((name) => name === 'gone.example').length;
    await expect(addresses.find('gone.example')).rejects.toThrow('no address');
    expect(dns.names.filter((name) => name === 'gone.example').length).toBeGreaterThan(asked);
  });

  it('are what a socket connects to, in either form that it asks for', async () => {
    const { lookup } = new HostAddresses([dns.server], 'AUTH_UNREACHABLE', hosts);
    const look = (host: string, options: object): Promise<unknown[]> =>
      new Promise((resolve) => lookup(host, options, (...answer: unknown[]) => resolve(answer)));
    expect(await look('box', { all: true })).toEqual([
      null,
      [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ],
    ]);
    expect(await look('mx.example', {})).toEqual([null, '192.0.2.1', 4]);
    const [error] = await look('gone.example', { all: true });
    expect(error).toMatchObject({ code: 'AUTH_UNREACHABLE', message: 'no address for gone.example' });
  });

  it('cancel ends what a silent server has not answered', async () => {
    const silent = await startFakeDns(() => 'silence');
    const addresses = new HostAddresses([silent.server], 'RELAY_CONNECT', hosts);
    const found = addresses.find('mx.example');
    while (silent.names.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    addresses.cancel();
    await expect(found).rejects.toMatchObject({ code: 'RELAY_CONNECT' });
    await silent.close();
  });
});
