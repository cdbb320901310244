/** Routes that look MX up: one destination per domain, and what the domains of a route share. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import type { RouteConfig } from '../../src/config/config.js';
import type { DispatcherOptions } from '../../src/relay/dispatcher.js';
import { MxLookup, type MxAnswer } from '../../src/relay/mx-lookup.js';
import { startFakeDns, type FakeRecord, type FakeReply } from '../support/fake-dns.js';
import { FakeHop, type FakeHopOptions } from '../support/fake-hop.js';
import { RelayRig, backup, closedPort, fakeHop, routeTo, smtp, told, until } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';

type Zone = Record<string, FakeReply | readonly FakeRecord[]>;

/** Each on its own loopback address, all on one port, as MX hosts are. */
async function hostsAt(addresses: Readonly<Record<string, FakeHopOptions>>): Promise<readonly FakeHop[]> {
  const hops: FakeHop[] = [];
  let port = 0;
  for (const [address, options] of Object.entries(addresses)) {
    const hop = await new FakeHop(options).listen(port, address);
    onTestFinished(() => hop.close());
    port = hop.port;
    hops.push(hop);
  }
  return hops;
}

async function rigOf(
  zone: Zone,
  port: number,
  changes: Partial<RouteConfig> = {},
  options: Partial<DispatcherOptions> = {},
): Promise<RelayRig> {
  const dns = await startFakeDns((name) => {
    const known = zone[name];
    if (known === undefined) return 'nxdomain';
    return typeof known === 'string' || !('length' in known) ? known : { records: known };
  });
  onTestFinished(() => dns.close());
  return new RelayRig(routeTo([{ kind: 'mx', port }], changes), {
    dnsServers: [dns.server],
    allowLocalMx: true,
    ...options,
  }).start();
}

function send(rig: RelayRig, ...domains: string[]): string {
  return rig.spool.add(body, {
    recipients: domains.map((domain) => ({ address: `a@${domain}`, route: `out/${domain}` })),
  });
}

const mx = (host: string, preference = 10): FakeRecord => ({ mx: host, preference });

describe('C-078: a route to mx', () => {
  it('takes the mail of each domain to its MX; the log names route and destination', async () => {
    const [left, right] = await hostsAt({ '127.0.0.2': {}, '127.0.0.3': {} });
    const zone = {
      'left.x': [mx('m.left.x')],
      'm.left.x': [{ address: '127.0.0.2' }],
      'right.x': [{ address: '127.0.0.3' }],
    };
    const rig = await rigOf(zone, left?.port ?? 0);
    send(rig, 'left.x');
    send(rig, 'right.x');
    await rig.settled(2);
    expect(left?.messages.map(({ recipients }) => recipients)).toEqual([['a@left.x']]);
    expect(right?.messages.map(({ recipients }) => recipients)).toEqual([['a@right.x']]);
    expect(rig.deliveries).toEqual(new Map([['out delivered', 2]]));
    expect(rig.events('relay.delivered').find(({ to }) => String(to) === 'a@left.x')).toMatchObject({
      route: 'out',
      destination: 'out/left.x',
      hop: `m.left.x:${left?.port}`,
    });
  });

  it('tries the next MX when the best cannot be reached', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const zone = {
      'd.x': [mx('dead.x', 10), mx('alive.x', 20)],
      'dead.x': [{ address: '127.0.0.9' }],
      'alive.x': [{ address: '127.0.0.2' }],
    };
    const rig = await rigOf(zone, hop?.port ?? 0);
    send(rig, 'd.x');
    await rig.settled(1);
    expect(rig.spool.settlements.map(told)).toEqual([['delivered 250 2.0.0 taken']]);
    expect(rig.events('relay.hop-down')).toMatchObject([{ hop: `dead.x:${hop?.port}` }]);
  });

  it.each([
    ['does not exist', undefined, 'failed 5.1.2 d.x does not exist'],
    ['has a null MX', [mx('.', 0)], 'failed 5.1.10 d.x accepts no mail (null MX)'],
    [
      'is ours',
      [mx('mx.example.org')],
      'failed 5.4.6 d.x has this host as its best MX, which does not accept its mail',
    ],
    ['is not answered for', 'servfail', 'pending 4.4.3 d.x: DNS did not answer for its MX'],
  ] as const)('and a domain that %s ends with its code', async (_name, told0, expected) => {
    const rig = await rigOf(told0 === undefined ? {} : { 'd.x': told0 }, 25);
    send(rig, 'd.x');
    await rig.settled(1);
    expect(rig.spool.settlements.map(told)).toEqual([[expected]]);
  });

  it('whose DNS is slow keeps all its mail waiting for the one answer, and none is given back', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': { endDelayMs: 5 } });
    const zone: Zone = { 'd.x': [mx('m.x')], 'm.x': [{ address: '127.0.0.2' }] };
    const rig = await rigOf(zone, hop?.port ?? 0, { connections: 8 });
    send(rig, 'd.x');
    await rig.settled(1);
    // As after five minutes: what was known is forgotten, and the hop is known to work.
    const find = vi.spyOn(MxLookup.prototype, 'find');
    onTestFinished(() => find.mockRestore());
    let answer: ((found: MxAnswer) => void) | undefined;
    const found = new Promise<MxAnswer>((resolve) => (answer = resolve));
    find.mockReturnValue(found);
    send(rig, 'd.x');
    await until(() => find.mock.calls.length === 1, 'it is asked for');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    for (let i = 0; i < 3; i++) send(rig, 'd.x');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(rig.spool.unleased).toEqual([]);
    answer?.({ kind: 'hosts', hosts: [{ host: 'm.x', preference: 10 }] });
    await rig.settled(5);
  });

  it('an operator who has all of it tried again does not make a queue for each domain at once', async () => {
    const rig = await rigOf({}, 25, { connections: 1 });
    for (let i = 0; i < 100; i++) rig.spool.onRetry?.(`out/d${i}.x`);
    expect(rig.dispatcher.queues).toBeLessThanOrEqual(5);
  });

  it('A-120: MX that point to this machine are not used, unless a test says so', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const zone = { 'd.x': [mx('here.x')], 'here.x': [{ address: '127.0.0.2' }] };
    const rig = await rigOf(zone, hop?.port ?? 0, {}, { allowLocalMx: false });
    send(rig, 'd.x');
    await rig.settled(1);
    expect(rig.spool.settlements.map(told)).toEqual([['failed 5.4.4 d.x has MX without a usable address']]);
    expect(hop?.connections).toBe(0);
  });

  it('one whose DNS is down makes one attempt per rest; the others wait, and go when it is back', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const zone: Zone = { 'd.x': 'servfail', 'm.x': [{ address: '127.0.0.2' }] };
    const rig = await rigOf(zone, hop?.port ?? 0);
    for (let i = 0; i < 10; i++) send(rig, 'd.x');
    await rig.settled(1);
    zone['d.x'] = [mx('m.x')];
    await rig.settled(10);
    expect(hop?.messages).toHaveLength(9);
    expect(rig.deliveries).toEqual(
      new Map([
        ['out deferred', 1],
        ['out delivered', 9],
      ]),
    );
  });

  it('both domains of one message are under way at the same time', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': { answers: { end: () => undefined } } });
    const zone = { 'a.x': [{ address: '127.0.0.2' }], 'b.x': [{ address: '127.0.0.2' }] };
    const rig = await rigOf(zone, hop?.port ?? 0);
    send(rig, 'a.x', 'b.x');
    await until(() => hop?.commands.filter((line) => line === 'DATA').length === 2, 'both are in DATA');
    expect([rig.spool.leased, rig.dispatcher.busy]).toEqual([2, 2]);
  });
});

describe('many domains on one route', () => {
  it('share its connections, and only some have a queue at a time', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const domains = Array.from({ length: 500 }, (_, i) => `d${i}.x`);
    const zone = Object.fromEntries(domains.map((name) => [name, [{ address: '127.0.0.2' }]]));
    const rig = await rigOf(zone, hop?.port ?? 0, { connections: 8 });
    let queues = 0;
    const looking = setInterval(() => (queues = Math.max(queues, rig.dispatcher.queues)), 1);
    onTestFinished(() => clearInterval(looking));
    for (const domain of domains) send(rig, domain);
    await rig.settled(500);
    expect(rig.deliveries).toEqual(new Map([['out delivered', 500]]));
    // One that was ended to make room may still be seen closing.
    expect(hop?.mostOpen).toBeLessThanOrEqual(8 + 2);
    expect(queues).toBeLessThanOrEqual(40);
    await until(() => rig.dispatcher.queues === 0 && hop?.open === 0, 'idle ones are dropped');
  });

  it('one with much mail takes no more than its share while others wait', async () => {
    const waiting: (() => void)[] = [];
    const end = ({ socket }: { socket: { write(text: string): boolean } }): undefined =>
      void waiting.push(() => void socket.write('250 2.0.0 taken\r\n'));
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const zone = { 'big.x': [{ address: '127.0.0.2' }], 'small.x': [{ address: '127.0.0.2' }] };
    const rig = await rigOf(zone, hop?.port ?? 0, { connections: 8 });
    send(rig, 'big.x');
    await rig.settled(1);
    if (hop !== undefined) hop.answers = { end };
    for (let i = 0; i < 50; i++) send(rig, 'big.x');
    await until(() => waiting.length === 2, 'its share is in use');
    send(rig, 'small.x');
    await until(() => waiting.length >= 3, 'the other gets a lane');
    expect(rig.dispatcher.busy).toBeLessThanOrEqual(4);
    if (hop !== undefined) hop.answers = {};
    for (const answer of waiting) answer();
  });

  it('with more domains than lanes each has its turn, however much the others have', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const domains = Array.from({ length: 6 }, (_, i) => `d${i}.x`);
    const zone = Object.fromEntries(domains.map((name) => [name, [{ address: '127.0.0.2' }]]));
    const rig = await rigOf(zone, hop?.port ?? 0, { connections: 2 });
    for (let i = 0; i < 100; i++) for (const domain of domains.slice(0, 5)) send(rig, domain);
    await rig.settled(20);
    send(rig, 'd5.x');
    await until(
      () => hop?.messages.some(({ recipients }) => recipients[0] === 'a@d5.x') === true,
      'the last',
    );
    // At most a turn of each of the others in between, and what was under way.
    expect(hop?.messages.length).toBeLessThan(200);
    await rig.settled(501);
  });

  it('an MX host that is dead is dead for all of its domains: it is tried once', async () => {
    const [alive] = await hostsAt({ '127.0.0.2': {} });
    const domains = Array.from({ length: 30 }, (_, i) => `d${i}.x`);
    const zone = {
      ...Object.fromEntries(domains.map((name) => [name, [mx('dead.x', 1), mx('alive.x', 2)]])),
      'dead.x': [{ address: '127.0.0.9' }],
      'alive.x': [{ address: '127.0.0.2' }],
    };
    // Rests do not end.
    const rig = await rigOf(zone, alive?.port ?? 0);
    const clock = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    onTestFinished(() => clock.mockRestore());
    for (const domain of domains) send(rig, domain);
    await rig.settled(30);
    expect(alive?.messages).toHaveLength(30);
    expect(rig.events('relay.hop-down')).toHaveLength(1);
  });
});

describe('F-22, F-23: dead domains on the route', () => {
  it('a thousand messages for one that never greets hold one lane, and delay no other', async () => {
    const [dead, alive] = await hostsAt({
      '127.0.0.2': { answers: { greeting: () => undefined } },
      '127.0.0.3': {},
    });
    const zone = { 'dead.x': [{ address: '127.0.0.2' }], 'alive.x': [{ address: '127.0.0.3' }] };
    const rig = await rigOf(zone, dead?.port ?? 0, { connections: 4 });
    for (let i = 0; i < 1000; i++) send(rig, 'dead.x');
    await until(() => dead?.connections === 1, 'the dead one is tried');
    for (let i = 0; i < 100; i++) send(rig, 'alive.x');
    await rig.settled(100);
    expect([alive?.messages.length, dead?.connections, rig.dispatcher.busy]).toEqual([100, 1, 1]);
    expect(rig.spool.leased).toBe(1);
  });

  it('an army of dead ones leaves lanes to the living, once it is known for dead', async () => {
    const [dead, alive] = await hostsAt({
      '127.0.0.2': { answers: { greeting: '421 4.3.2 closing' } },
      '127.0.0.3': {},
    });
    const addresses = Array.from({ length: 40 }, (_, i) => `127.0.1.${i + 1}`);
    const zone: Zone = Object.fromEntries(addresses.map((address, i) => [`d${i}.x`, [{ address }]]));
    zone['alive.x'] = [{ address: '127.0.0.3' }];
    const rig = await rigOf(zone, dead?.port ?? 0, { connections: 4 });
    for (let i = 0; i < 40; i++) for (let each = 0; each < 5; each++) send(rig, `d${i}.x`);
    await until(() => rig.events('relay.hop-down').length === 40, 'all were tried');
    for (let i = 0; i < 50; i++) send(rig, 'alive.x');
    await until(() => alive?.messages.length === 50, 'the living one is served');
    rig.dispatcher.fillGauges();
    expect(rig.resting.value).toBe(40);
  });
});

describe('mail that was queued before the route was changed', () => {
  it('for a domain goes to the hops that the route has now', async () => {
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(await closedPort()), backup(hop.port)])).start();
    send(rig, 'a.x', 'b.x');
    await rig.settled(2);
    expect(hop.messages.flatMap(({ recipients }) => recipients).toSorted()).toEqual(['a@a.x', 'a@b.x']);
  });

  it('for the route as a whole goes to the MX of each recipient', async () => {
    const [hop] = await hostsAt({ '127.0.0.2': {} });
    const rig = await rigOf({ 'a.x': [{ address: '127.0.0.2' }], 'b.x': [mx('.', 0)] }, hop?.port ?? 0);
    rig.spool.add(body, {
      recipients: ['1@a.x', '2@a.x', '1@b.x'].map((address) => ({ address, route: 'out' })),
    });
    await rig.settled(1);
    expect(rig.spool.settlements[0]?.results).toMatchObject([
      { address: '1@a.x', state: 'delivered' },
      { address: '2@a.x', state: 'delivered' },
      { address: '1@b.x', state: 'failed', lastReply: '5.1.10 b.x accepts no mail (null MX)' },
    ]);
    expect(hop?.messages.map(({ recipients }) => recipients)).toEqual([['1@a.x', '2@a.x']]);
  });
});
