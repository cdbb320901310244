import { describe, expect, it, onTestFinished } from 'vitest';

import { MxLookup, type MxAnswer, type MxLookupOptions } from '../../src/relay/mx-lookup.js';
import { startFakeDns, type FakeDns, type FakeRecord, type FakeReply } from '../support/fake-dns.js';
import { closedPort } from './relay-rig.js';

type Zone = Readonly<Record<string, FakeReply | readonly FakeRecord[]>>;

function isRecords(told: FakeReply | readonly FakeRecord[]): told is readonly FakeRecord[] {
  return Array.isArray(told);
}

async function dnsOf(zone: Zone): Promise<FakeDns> {
  const dns = await startFakeDns((name) => {
    const told = zone[name];
    if (told === undefined) return 'nxdomain';
    return isRecords(told) ? { records: told } : told;
  });
  onTestFinished(() => dns.close());
  return dns;
}

function lookupAt(dns: FakeDns, options: Partial<MxLookupOptions> = {}): MxLookup {
  return new MxLookup({ servers: [dns.server], hostname: 'mx.us.example', timeoutMs: 200, ...options });
}

async function find(zone: Zone, domain: string, options: Partial<MxLookupOptions> = {}): Promise<MxAnswer> {
  return lookupAt(await dnsOf(zone), options).find(domain);
}

function names(answer: MxAnswer): readonly string[] {
  return answer.kind === 'hosts' ? answer.hosts.map(({ host }) => host) : [answer.reply];
}

const host = { address: '192.0.2.1' };

describe('C-078: the MX of a domain', () => {
  it('are in order of preference', async () => {
    const zone = {
      'd.example': [
        { mx: 'c.example', preference: 30 },
        { mx: 'a.example', preference: 10 },
        { mx: 'B.example', preference: 20 },
      ],
      'a.example': [host],
      'b.example': [host],
      'c.example': [host],
    };
    expect(names(await find(zone, 'd.example'))).toEqual(['a.example', 'b.example', 'c.example']);
  });

  it('are in random order where the preference is the same', async () => {
    const equals = ['h1', 'h2', 'h3', 'h4'].map((name) => ({ mx: `${name}.example`, preference: 10 }));
    const zone: Zone = {
      'd.example': equals,
      ...Object.fromEntries(equals.map(({ mx }) => [mx, [host]])),
    };
    const dice = [0.7, 0.1, 0.9, 0.3].values();
    const found = names(await find(zone, 'd.example', { random: () => dice.next().value ?? 0 }));
    expect(found).toHaveLength(4);
    expect(found).not.toEqual(found.toSorted());
  });

  it('leave the address of the domain itself out of it', async () => {
    const zone = {
      'd.example': [{ mx: 'a.example', preference: 10 }, { address: '192.0.2.99' }],
      'a.example': [host],
    };
    const dns = await dnsOf(zone);
    expect(names(await lookupAt(dns).find('d.example'))).toEqual(['a.example']);
    // MX alone.
    expect(dns.names.filter((name) => name === 'd.example')).toHaveLength(1);
  });

  it('without an address of their own, of theirs the domain is taken as undeliverable, not its A', async () => {
    const zone = { 'd.example': [{ mx: 'gone.example', preference: 10 }, { address: '192.0.2.99' }] };
    expect(names(await find(zone, 'd.example'))).toEqual(['5.4.4 d.example has MX without a usable address']);
  });

  it('the first of them may have no address', async () => {
    const zone = {
      'd.example': [
        { mx: 'gone.example', preference: 10 },
        { mx: 'here.example', preference: 20 },
      ],
      'here.example': [{ address: '2001:db8::25' }],
    };
    expect(names(await find(zone, 'd.example'))).toEqual(['here.example']);
  });

  it('that DNS does not answer for now are not given up', async () => {
    const zone: Zone = {
      'd.example': [
        { mx: 'gone.example', preference: 10 },
        { mx: 'slow.example', preference: 20 },
      ],
      'slow.example': 'servfail',
    };
    expect(await find(zone, 'd.example')).toEqual({
      kind: 'temporary',
      reply: '4.4.3 d.example: DNS did not answer for the addresses of its MX',
    });
  });
});

describe('C-078: a domain without MX', () => {
  it('is its own MX when there is no data', async () => {
    const dns = await dnsOf({ 'd.example': [host] });
    const lookup = lookupAt(dns);
    expect(await lookup.find('d.example')).toEqual({
      kind: 'hosts',
      hosts: [{ host: 'd.example', preference: 0 }],
    });
    expect(await lookup.addresses.find('d.example')).toEqual(['192.0.2.1']);
  });

  it('and without address is undeliverable', async () => {
    expect(await find({ 'd.example': [] }, 'd.example')).toEqual({
      kind: 'permanent',
      reply: '5.4.4 d.example has neither MX nor a usable address',
    });
  });

  it.each([
    ['does not exist', 'nxdomain', { kind: 'permanent', reply: '5.1.2 d.example does not exist' }],
    [
      'is not answered for',
      'servfail',
      { kind: 'temporary', reply: '4.4.3 d.example: DNS did not answer for its MX' },
    ],
    [
      'is met with silence',
      'silence',
      { kind: 'temporary', reply: '4.4.3 d.example: DNS did not answer for its MX' },
    ],
  ] as const)('and that %s', async (_name, told, expected) => {
    expect(await find({ 'd.example': told }, 'd.example')).toEqual(expected);
  });

  it('nor a DNS server: temporary', async () => {
    const lookup = new MxLookup({
      servers: [`127.0.0.1:${await closedPort()}`],
      hostname: 'mx.us.example',
      timeoutMs: 200,
    });
    expect((await lookup.find('d.example')).kind).toBe('temporary');
  });
});

describe('C-078: aliases', () => {
  it('are followed when the server does not', async () => {
    const zone = {
      'd.example': [{ cname: 'e.example' }],
      'e.example': [{ mx: 'a.example', preference: 10 }],
      'a.example': [host],
    };
    expect(names(await find(zone, 'd.example'))).toEqual(['a.example']);
  });

  it.each([
    ['to itself', { 'd.example': 'cname-loop' }],
    ['in a circle', { 'd.example': [{ cname: 'e.example' }], 'e.example': [{ cname: 'd.example' }] }],
  ] as const)('%s end somewhere, for now', async (_name, zone) => {
    const answer = await find(zone, 'd.example');
    expect(answer.kind).toBe('temporary');
    expect(names(answer)[0]).toMatch(/^4\.4\.3 /);
  });
});

describe('C-078: RFC 7505, null MX', () => {
  it('is a permanent failure', async () => {
    const zone = { 'd.example': [{ mx: '.', preference: 0 }, host] };
    expect(await find(zone, 'd.example')).toEqual({
      kind: 'permanent',
      reply: '5.1.10 d.example accepts no mail (null MX)',
    });
  });

  it('beside real ones means nothing', async () => {
    const zone = {
      'd.example': [
        { mx: '.', preference: 0 },
        { mx: 'a.example', preference: 10 },
      ],
      'a.example': [host],
    };
    expect(names(await find(zone, 'd.example'))).toEqual(['a.example']);
  });
});

describe('C-078: our own name among the MX', () => {
  const us = { mx: 'MX.us.example', preference: 20 };
  it('takes out itself and what is no better', async () => {
    const zone = {
      'd.example': [
        { mx: 'better.example', preference: 10 },
        us,
        { mx: 'equal.example', preference: 20 },
        { mx: 'worse.example', preference: 30 },
      ],
      'better.example': [host],
      'equal.example': [host],
      'worse.example': [host],
    };
    expect(names(await find(zone, 'd.example'))).toEqual(['better.example']);
  });

  it('as the best is a loop', async () => {
    const zone = {
      'd.example': [us, { mx: 'worse.example', preference: 30 }],
      'worse.example': [host],
      'mx.us.example': [host],
    };
    expect(await find(zone, 'd.example')).toEqual({
      kind: 'permanent',
      reply: '5.4.6 d.example has this host as its best MX, which does not accept its mail',
    });
    expect(names(await find(zone, 'mx.us.example'))[0]).toMatch(/^5\.4\.6 /);
  });
});

describe('address literals', () => {
  it.each([
    ['[192.0.2.1]', '192.0.2.1'],
    ['[IPv6:2001:DB8::1]', '2001:db8::1'],
  ])('%s is its address', async (domain, address) => {
    expect(names(await find({}, domain))).toEqual([address]);
  });

  it.each(['[192.0.2.256]', '[2001:db8::1]', '[IPv6:1.2.3.4]', '[IPv6:fe80::1%eth0]', '[]', '[192.0.2.1'])(
    '%s is none',
    async (domain) => {
      expect(names(await find({}, domain))[0]).toMatch(/^5\.1\.2 .* is no address$/);
    },
  );
});

/** As a submission user or whoever owns a domain may point our mail at services that trust this machine. */
describe('A-120: MX that point to this machine', () => {
  const here = [
    '127.0.0.1',
    '127.8.9.10',
    '0.0.0.0',
    '0.1.2.3',
    '169.254.169.254',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'ff02::1',
    '::ffff:7f00:1',
    '::7f00:1',
    '64:ff9b::7f00:1',
  ];
  it.each(here)('%s is not used', async (address) => {
    const zone = { 'd.example': [{ mx: 'a.example', preference: 10 }], 'a.example': [{ address }] };
    expect(names(await find(zone, 'd.example'))).toEqual(['5.4.4 d.example has MX without a usable address']);
    const literal = address.includes(':') ? `[IPv6:${address}]` : `[${address}]`;
    expect(names(await find({}, literal))[0]).toMatch(/^5\.4\.4 .* is no address to send mail to$/);
  });

  it('and the others of the same host are', async () => {
    const zone = {
      'd.example': [{ mx: 'a.example', preference: 10 }],
      'a.example': [{ address: '127.0.0.1' }, { address: '192.0.2.1' }, { address: '::1' }],
    };
    const lookup = lookupAt(await dnsOf(zone));
    await lookup.find('d.example');
    expect(await lookup.addresses.find('a.example')).toEqual(['192.0.2.1']);
  });

  it('nor is a name that only the hosts file knows', async () => {
    const zone = { 'd.example': [{ mx: 'localhost', preference: 10 }] };
    expect(names(await find(zone, 'd.example'))[0]).toMatch(/^5\.4\.4 /);
  });
});

describe('A-120: lies and floods', () => {
  it('sixty MX are twenty, the best of them', async () => {
    const many = Array.from({ length: 60 }, (_, i) => ({ mx: `h${i}.x`, preference: 60 - i }));
    const zone: Zone = { 'd.x': many, ...Object.fromEntries(many.map(({ mx }) => [mx, [host]])) };
    const found = names(await find(zone, 'd.x'));
    expect(found).toEqual(Array.from({ length: 20 }, (_, i) => `h${59 - i}.x`));
  });

  it('one host named sixty times is one', async () => {
    const many = Array.from({ length: 60 }, (_, i) => ({ mx: 'a.x', preference: i }));
    expect(names(await find({ 'd.x': many, 'a.x': [host] }, 'd.x'))).toEqual(['a.x']);
  });

  it('forty addresses of a host are eight, of both families', async () => {
    const v4 = Array.from({ length: 40 }, (_, i) => ({ address: `192.0.2.${i + 1}` }));
    const zone = {
      'd.x': [{ mx: 'a.x', preference: 1 }],
      'a.x': [...v4, { address: '2001:db8::1' }],
    };
    const lookup = lookupAt(await dnsOf(zone));
    await lookup.find('d.x');
    const addresses = await lookup.addresses.find('a.x');
    expect(addresses).toHaveLength(8);
    expect(addresses).toContain('2001:db8::1');
  });

  it.each([
    ['an address in the place of a name', '192.0.2.7'],
    ['a name with a space', 'a b.example'],
    ['a name with a slash', 'a/b.example'],
    ['a name with a line end', 'a\r\nb.example'],
    ['a name with a percent sign', 'fe80%eth0'],
  ])('%s is no host', async (_name, mx) => {
    expect(names(await find({ 'd.example': [{ mx, preference: 1 }] }, 'd.example'))[0]).toMatch(/^5\.4\.4 /);
  });

  it.each(['a..b', '-'.repeat(300), 'a b', 'a/b', '', '127.1', '1.2.3.4'])(
    'the domain %j is none, and DNS is not asked',
    async (domain) => {
      const dns = await dnsOf({});
      expect(names(await lookupAt(dns).find(domain))[0]).toMatch(/^5\.1\.2 /);
      expect(dns.names).toEqual([]);
    },
  );

  it('a domain beyond ASCII is asked for in A-labels', async () => {
    const zone = { 'xn--bcher-kva.example': [{ mx: 'a.example', preference: 1 }], 'a.example': [host] };
    expect(names(await find(zone, 'bücher.example'))).toEqual(['a.example']);
  });
});

describe('the cache', () => {
  it('asks once for a burst, also for what is refused for good; anew after DNS failed', async () => {
    const zone: Zone = {
      'd.example': [{ mx: 'a.example', preference: 1 }],
      'a.example': [host],
      'null.example': [{ mx: '.', preference: 0 }],
      'down.example': 'servfail',
    };
    const dns = await dnsOf(zone);
    const lookup = lookupAt(dns);
    const asked = (name: string): number => dns.names.filter((each) => each === name).length;
    for (let i = 0; i < 3; i++)
      for (const domain of ['d.example', 'null.example'])
        await Promise.all(Array.from({ length: 10 }, () => lookup.find(domain)));
    // One for A and one for AAAA.
    expect([asked('d.example'), asked('null.example'), asked('a.example')]).toEqual([1, 1, 2]);
    await lookup.find('down.example');
    const before = asked('down.example');
    await lookup.find('down.example');
    expect(asked('down.example')).toBeGreaterThan(before);
  });

  it('cancel ends what a silent server has not answered', async () => {
    const dns = await dnsOf({ 'd.example': 'silence' });
    const lookup = lookupAt(dns, { timeoutMs: 60_000 });
    const found = lookup.find('d.example');
    while (dns.names.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    lookup.cancel();
    expect((await found).kind).toBe('temporary');
  });
});

it('A-120: an address of this machine is no verdict while DNS does not answer for the other family', async () => {
  const dns = await startFakeDns((name, type) => {
    if (name === 'd.example') return { records: [{ mx: 'm.example', preference: 10 }] };
    return type === 1 ? 'servfail' : { records: [{ address: '::1' }] };
  });
  onTestFinished(() => dns.close());
  expect(await lookupAt(dns).find('d.example')).toMatchObject({ kind: 'temporary' });
});
