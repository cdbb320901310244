import { afterEach, describe, expect, it } from 'vitest';

import { askDnsbls, reverseName } from '../../src/pool/tasks/dnsbl.js';
import { startFakeDns, type FakeDns, type FakeReply } from '../support/fake-dns.js';

let dns: FakeDns | undefined;

afterEach(async () => {
  await dns?.close();
  dns = undefined;
});

async function ask(reply: (name: string) => FakeReply, zones: readonly string[], timeoutMs = 5_000) {
  dns = await startFakeDns(reply);
  return askDnsbls({ address: '192.0.2.99', zones, servers: [dns.server], timeoutMs });
}

const listed: FakeReply = { addresses: ['127.0.0.2'], ttlSeconds: 300 };

function many(count: number): FakeReply {
  return { addresses: Array.from({ length: count }, (_, i) => `127.0.${i >> 8}.${i & 255}`) };
}

describe('the name a DNSBL is asked for', () => {
  const table: [address: string, name: string | undefined][] = [
    ['192.0.2.99', '99.2.0.192'],
    // The example of RFC 5782 §2.4.
    ['2001:db8:1:2:3:4:567:89ab', 'b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2'],
    ['::1', `1.${'0.'.repeat(30)}0`],
    ['not an address', undefined],
  ];
  it.each(table)('%s → %s', (address, name) => {
    expect(reverseName(address)).toBe(name);
  });
});

describe('the DNSBL task (A-120)', () => {
  it('asks every zone and answers in their order', async () => {
    const replies: Record<string, FakeReply> = {
      '99.2.0.192.a.test': { addresses: ['127.0.0.2', '127.0.0.4'], ttlSeconds: 120 },
      '99.2.0.192.b.test': 'nxdomain',
      '99.2.0.192.c.test': { addresses: [] },
    };
    const answers = await ask(
      (name) => replies[name] ?? 'servfail',
      ['a.test', 'b.test', 'c.test', 'd.test'],
    );
    expect(answers).toEqual([
      { kind: 'answer', addresses: ['127.0.0.2', '127.0.0.4'], ttlSeconds: 120 },
      { kind: 'none' },
      { kind: 'none' },
      { kind: 'error', code: 'ESERVFAIL' },
    ]);
  });

  it('asks for an IPv6 client by nibbles', async () => {
    dns = await startFakeDns(() => 'nxdomain');
    await askDnsbls({ address: '2001:db8::1', zones: ['a.test'], servers: [dns.server], timeoutMs: 5_000 });
    expect(dns.names).toEqual([`1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.a.test`]);
  });

  it('gives up a silent zone at the deadline and keeps the answers of the others', async () => {
    const answers = await ask(
      (name) => (name.endsWith('.b.test') ? 'silence' : listed),
      ['a.test', 'b.test'],
      300,
    );
    expect(answers).toEqual([
      { kind: 'answer', addresses: ['127.0.0.2'], ttlSeconds: 300 },
      { kind: 'timeout' },
    ]);
  });

  it('does not wait for an answer that takes ten seconds', async () => {
    const answers = await ask(() => ({ addresses: ['127.0.0.2'], delayMs: 10_000 }), ['a.test'], 300);
    expect(answers).toEqual([{ kind: 'timeout' }]);
  });

  it('repeats a question whose datagram was lost', async () => {
    let seen = 0;
    const answers = await ask(() => (++seen === 1 ? 'silence' : listed), ['a.test'], 900);
    expect(answers).toEqual([{ kind: 'answer', addresses: ['127.0.0.2'], ttlSeconds: 300 }]);
  });

  it('counts a server that is down as nobody answering, as it does silence', async () => {
    const gone = await startFakeDns(() => 'nxdomain');
    await gone.close();
    const task = { address: '192.0.2.99', zones: ['a.test'], servers: [gone.server], timeoutMs: 5_000 };
    expect(await askDnsbls(task)).toEqual([{ kind: 'timeout' }]);
  });

  it('passes 64 addresses on and takes 1000 for no answer of a list', async () => {
    const answers = await ask((name) => many(name.endsWith('.a.test') ? 64 : 1000), ['a.test', 'b.test']);
    expect(answers[0]).toMatchObject({ kind: 'answer', addresses: { length: 64 } });
    expect(answers[1]).toEqual({ kind: 'error', code: 'ETOOMANY' });
  });

  it('ends a CNAME loop without an address', async () => {
    expect(await ask(() => 'cname-loop', ['a.test'])).toEqual([{ kind: 'none' }]);
  });

  it('answers each zone with an error when the address is none', async () => {
    const task = { address: 'x', zones: ['a.test', 'b.test'], servers: [], timeoutMs: 1_000 };
    const error = { kind: 'error', code: 'EBADNAME' };
    expect(await askDnsbls(task)).toEqual([error, error]);
  });
});
