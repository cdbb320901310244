import { describe, expect, it, onTestFinished } from 'vitest';

import type { Notifier } from '../../src/relay/notifier.js';
import { startFakeDns } from '../support/fake-dns.js';
import type { Answer, FakeHop, FakeHopOptions, HopContext } from '../support/fake-hop.js';
import {
  RelayRig,
  backup,
  blackHole,
  closedPort,
  fakeHop,
  lmtp,
  routeTo,
  smtp,
  told,
  until,
} from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';

const shuttingDown = ({ socket }: HopContext): string => {
  setTimeout(() => socket.write('421 4.3.2 shutting down\r\n'), 20);
  return '250 2.0.0 taken';
};

describe('connections', () => {
  it('serve one message after the other, and QUIT when there is no more', async () => {
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    for (let i = 0; i < 5; i++) await rig.deliver(body);
    expect([hop.connections, hop.messages.length]).toEqual([1, 5]);
    await until(() => hop.open === 0, 'the idle connection ends');
    expect(hop.commands.at(-1)).toBe('QUIT');
    await rig.deliver(body);
    expect(hop.connections).toBe(2);
  });

  it('are as many as the route allows at most, and all of them when there is work', async () => {
    const hop = await fakeHop({ endDelayMs: 20 });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 3 }));
    for (let i = 0; i < 40; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(40);
    expect([hop.mostOpen, hop.connections, hop.messages.length]).toEqual([3, 3, 40]);
    // One lease per lane in hand, one ahead.
    expect(rig.spool.mostLeased).toBeLessThanOrEqual(6);
  });

  it('of one message may go different ways: who asked for success is told of by us where a hop may not', async () => {
    const [plain, dsn] = [await fakeHop(), await fakeHop({ extensions: ['PIPELINING', 'DSN'] })];
    const handovers: unknown[] = [];
    const notifier: Notifier = {
      owes: (_lease, { handover }) => handovers.push(handover) < 0,
      conclude: () => Promise.reject(new Error('not asked')),
    };
    const rig = new RelayRig(routeTo([smtp(plain.port), backup(dsn.port)], { messagesPerConnection: 1 }), {
      notifier,
    });
    plain.answers = {
      greeting: ({ connection }) => (connection === 1 ? '220 here' : '421 4.3.2 gone'),
    };
    const names = Array.from({ length: 150 }, (_, i) => `r${i}`);
    const { results } = await rig.deliver(body, ...names);
    expect(results.every(({ state }) => state === 'delivered')).toBe(true);
    expect([plain.messages.length, dsn.messages.length]).toEqual([1, 1]);
    expect(handovers).toEqual(['relayed']);
  });

  it('end after messagesPerConnection, and the limit holds while they do', async () => {
    const hop = await fakeHop({ endDelayMs: 2 });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 2, messagesPerConnection: 3 }));
    for (let i = 0; i < 30; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(30);
    expect(hop.mostOpen).toBe(2);
    const perConnection = new Map<number, number>();
    for (const { connection } of hop.messages)
      perConnection.set(connection, (perConnection.get(connection) ?? 0) + 1);
    expect(Math.max(...perConnection.values())).toBe(3);
  });

  it('a kept connection that the hop has closed is replaced, at no cost to the message', async () => {
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { idleConnectionMs: 10_000 });
    await rig.deliver(body);
    hop.cutAll();
    await until(() => hop.open === 0, 'the hop has closed');
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.connections).toBe(2);
  });

  it.each([
    ['421', ({ socket }: HopContext): undefined => void socket.end('421 4.4.2 idle\r\n')],
    ['a cut', ({ socket }: HopContext): undefined => void socket.destroy()],
  ])('a kept connection that answers MAIL with %s is replaced within the attempt', async (_name, end) => {
    let kept = false;
    const mail = (context: HopContext): string | undefined =>
      kept && context.connection === 1 ? end(context) : '250 ok';
    const hop = await fakeHop({ answers: { MAIL: mail } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    kept = true;
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.connections).toBe(2);
  });

  it('A-142: a hop that says 421 on its own between messages is left alone', async () => {
    const hop = await fakeHop({ answers: { end: shuttingDown } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { idleConnectionMs: 10_000 });
    await rig.deliver(body);
    await until(() => hop.open === 0, 'the connection ends');
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('a hop that does not answer QUIT is not waited for', async () => {
    const hop = await fakeHop({ answers: { QUIT: () => undefined } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { messagesPerConnection: 1 }), {
      timeouts: { quit: 30 },
    });
    await rig.deliver(body);
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('one that waits for the answer to QUIT counts, and makes room for the next', async () => {
    const hop = await fakeHop({ answers: { QUIT: () => undefined } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 1 }), {
      timeouts: { quit: 60_000 },
      idleConnectionMs: 20,
    });
    await rig.deliver(body);
    await until(() => hop.commands.includes('QUIT'), 'the idle connection says QUIT');
    await rig.deliver(body);
    expect(hop.connections).toBe(2);
    await until(() => hop.sockets === 1, 'the first connection ends');
  });

  it('RFC 5321 §4.5.3.1.8: more than 100 recipients are several transactions on one connection', async () => {
    const hop = await fakeHop();
    const names = Array.from({ length: 250 }, (_, i) => `r${i}`);
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, ...names);
    expect(settlement.results).toHaveLength(250);
    expect(hop.messages.map((message) => message.recipients.length)).toEqual([100, 100, 50]);
    expect(hop.connections).toBe(1);
  });

  it('of these, what was delivered before the hop went away stays delivered', async () => {
    let messages = 0;
    const end = ({ socket }: HopContext): string | undefined => {
      if (++messages === 1) return '250 2.0.0 taken';
      socket.destroy();
      return undefined;
    };
    const hop = await fakeHop({ answers: { end } });
    const names = Array.from({ length: 150 }, (_, i) => `r${i}`);
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, ...names);
    const states = settlement.results.map((result) => result.state);
    expect([states.slice(0, 100), states.slice(100)]).toEqual([
      Array.from({ length: 100 }, () => 'delivered'),
      Array.from({ length: 50 }, () => 'pending'),
    ]);
  });
});

/** Serves `most` connections at a time; to the others it says what large sites say. */
function crowdedAt(most: number, refusal = '421 4.7.0 too many connections'): Answer {
  let served = 0;
  return ({ socket }) => {
    if (served >= most) return void socket.end(`${refusal}\r\n`);
    served++;
    socket.once('close', () => served--);
    return '220 hop.example ready';
  };
}

describe('a hop that takes fewer connections than the route has', () => {
  it.each([1, 3])('gets all mail over its %i, and no message is deferred for it', async (most) => {
    const hop = await fakeHop({ answers: { greeting: crowdedAt(most) }, endDelayMs: 5 });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 8 }));
    await rig.deliver(body);
    for (let i = 0; i < 60; i++) rig.spool.add(body);
    await rig.settled(61);
    expect(rig.deliveries).toEqual(new Map([['out delivered', 61]]));
    expect(hop.messages).toHaveLength(61);
    expect(rig.events('relay.hop-down')).toEqual([]);
    expect(rig.events('relay.hop-crowded').length).toBeGreaterThan(0);
    // Not one refused connection for each message.
    expect(hop.connections).toBeLessThan(30);
  });

  it('also when its connections end in between', async () => {
    const hop = await fakeHop({ answers: { greeting: crowdedAt(2) } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 6, messagesPerConnection: 3 }));
    await rig.deliver(body);
    for (let i = 0; i < 40; i++) rig.spool.add(body);
    await rig.settled(41);
    expect(rig.deliveries).toEqual(new Map([['out delivered', 41]]));
  });

  it('and when it goes away, those that wait for their turn are deferred', async () => {
    let held: (() => void)[] = [];
    const end = ({ socket }: HopContext): undefined => void held.push(() => socket.destroy());
    const hop = await fakeHop({ answers: { greeting: crowdedAt(1) } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 3 }));
    await rig.deliver(body);
    hop.answers = { ...hop.answers, end };
    for (let i = 0; i < 3; i++) rig.spool.add(body);
    await until(() => held.length === 1 && rig.events('relay.hop-crowded').length > 0, 'two wait');
    await hop.close();
    for (const cut of held.splice(0)) cut();
    await rig.settled(4);
    expect(rig.deliveries).toEqual(
      new Map([
        ['out delivered', 1],
        ['out deferred', 3],
      ]),
    );
  });

  it('a stop does not wait for a turn', async () => {
    const hop = await fakeHop({ answers: { greeting: crowdedAt(1) } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { connections: 3 }));
    await rig.deliver(body);
    hop.answers = { ...hop.answers, end: () => undefined };
    for (let i = 0; i < 3; i++) rig.spool.add(body);
    await until(() => rig.events('relay.hop-crowded').length > 0 && rig.dispatcher.busy === 3, 'two wait');
    await rig.dispatcher.stop(10);
    expect([rig.dispatcher.busy, rig.spool.leased, rig.spool.entries.size]).toEqual([0, 0, 3]);
  });
});

describe('failover', () => {
  it('the next hop is used when the first cannot be reached', async () => {
    const second = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(await closedPort()), backup(second.port)]));
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(rig.events('relay.hop-down')[0]).toMatchObject({
      reason: expect.stringContaining('ECONNREFUSED'),
    });
    expect(rig.events('relay.delivered')[0]).toMatchObject({ hop: `127.0.0.1:${second.port}` });
  });

  it.each([
    ['refuses in its greeting', { greeting: '554 5.3.2 no' }],
    ['refuses EHLO for now', { EHLO: '421 4.3.2 later' }],
    ['closes at once', { greeting: ({ socket }: HopContext): undefined => void socket.destroy() }],
    ['speaks HTTP', { greeting: 'HTTP/1.1 400 Bad Request' }],
    ['never greets', { greeting: () => undefined }],
  ])('and when it %s', async (_name, answers) => {
    const [first, second] = [await fakeHop({ answers }), await fakeHop()];
    const rig = new RelayRig(routeTo([smtp(first.port), backup(second.port)]), {
      timeouts: { greeting: 100 },
    });
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(second.messages).toHaveLength(1);
  });

  it('but not once a hop has had its say on the message', async () => {
    const [first, second] = [await fakeHop({ answers: { MAIL: '451 4.3.0 later' } }), await fakeHop()];
    const settlement = await new RelayRig(routeTo([smtp(first.port), backup(second.port)])).deliver(body);
    expect(told(settlement)).toEqual(['pending 451 4.3.0 later']);
    expect(second.connections).toBe(0);
  });

  it('one dead hop does not slow the rest: it is tried once, not for each message', async () => {
    // Accepts and says nothing: each try costs the time-out.
    const [dead, second] = [await fakeHop({ answers: { greeting: () => undefined } }), await fakeHop()];
    const route = routeTo([smtp(dead.port), backup(second.port)], {
      connections: 1,
      messagesPerConnection: 1,
    });
    const rig = new RelayRig(route, { timeouts: { greeting: 300 } });
    for (let i = 0; i < 10; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(10);
    expect(second.messages).toHaveLength(10);
    expect(dead.connections).toBe(1);
  });

  it('the first hop is used again when it is back', async () => {
    const [first, second] = [await fakeHop({ answers: { greeting: '421 4.3.2 later' } }), await fakeHop()];
    const route = routeTo([smtp(first.port), backup(second.port)], { messagesPerConnection: 1 });
    const rig = new RelayRig(route);
    await rig.deliver(body);
    first.answers = {};
    await until(() => {
      rig.spool.add(body);
      return first.messages.length > 0;
    }, 'the first hop gets mail');
    const up = rig.events('relay.hop-up');
    expect(up).toMatchObject([{ level: 30, route: 'out', hop: `127.0.0.1:${first.port}` }]);
    expect(up[0]).not.toHaveProperty('reason');
  });

  it('F-22: with no hop reachable a message is deferred, the others stay until one is', async () => {
    const port = await closedPort();
    const rig = new RelayRig(routeTo([lmtp(port)], { connections: 2 }));
    const settlement = await rig.deliver(body);
    expect(told(settlement)[0]).toMatch(/^pending .*ECONNREFUSED 127\.0\.0\.1:\d+$/);
    expect(rig.events('relay.deferred')).toMatchObject([
      {
        hop: `127.0.0.1:${port}`,
        to: ['someone@example.test'],
        reply: expect.stringMatching(/ECONNREFUSED .*; hop rests until \d{4}-\d\d-\d\dT[\d:.]+Z$/),
      },
    ]);
    for (let i = 0; i < 10; i++) rig.spool.add(body);
    const { FakeHop } = await import('../support/fake-hop.js');
    const hop = await new FakeHop({ protocol: 'lmtp' }).listen(port);
    await rig.settled(11);
    expect(hop.messages).toHaveLength(10);
    expect(rig.spool.settlements.filter((each) => each.results[0]?.state === 'pending')).toHaveLength(1);
    await hop.close();
  });

  it('a host name with several addresses: the next address is tried', async () => {
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port, 'localhost')]));
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('a silent address leaves time for the ones behind it', async () => {
    const hop = await fakeHop();
    await blackHole('127.0.0.2', hop.port);
    const dns = await startFakeDns(() => ({ addresses: ['127.0.0.2', '127.0.0.1'] }));
    onTestFinished(() => dns.close());
    const rig = new RelayRig(routeTo([smtp(hop.port, 'hop.example')]), {
      dnsServers: [dns.server],
      timeouts: { connect: 2_000 },
    });
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('a name without an address is a hop that cannot be reached', async () => {
    const rig = new RelayRig(routeTo([smtp(25, 'no.such.host.invalid')]), {
      dnsServers: [`127.0.0.1:${await closedPort()}`],
    });
    expect(told(await rig.deliver(body))).toEqual(['pending no address for no.such.host.invalid']);
  });
});

async function weighted(
  connections: number,
  each: FakeHopOptions = {},
): Promise<[FakeHop, FakeHop, RelayRig]> {
  const [heavy, light] = [await fakeHop(each), await fakeHop(each)];
  const hops = [smtp(heavy.port, '127.0.0.1', 0, 3), smtp(light.port)];
  return [heavy, light, new RelayRig(routeTo(hops, { connections }))];
}

describe('hops of one priority', () => {
  it.each([2, 4, 10])('share each message by weight, 3 to 1, over %i connections', async (connections) => {
    const [heavy, light, rig] = await weighted(connections, { endDelayMs: 1 });
    await rig.deliver(body);
    for (let i = 0; i < 399; i++) rig.spool.add(body);
    await rig.settled(400);
    expect(heavy.messages.length + light.messages.length).toBe(400);
    expect(Math.abs(light.messages.length - 100)).toBeLessThanOrEqual(16);
    // A change of hops is not worth a connection for each few messages.
    expect(heavy.connections + light.connections).toBeLessThanOrEqual(40);
  });

  it('also when there is one message at a time', async () => {
    const [heavy, light, rig] = await weighted(4);
    for (let i = 0; i < 80; i++) await rig.deliver(body);
    expect(Math.abs(light.messages.length - 20)).toBeLessThanOrEqual(1);
    expect([heavy.connections, light.connections]).toEqual([1, 1]);
  });

  it('one that stalls after its greeting holds its share of the lanes, the others go on', async () => {
    const [heavy, light, rig] = await weighted(4);
    heavy.answers = { end: () => undefined };
    rig.start();
    for (let i = 0; i < 100; i++) rig.spool.add(body);
    await until(() => light.messages.length >= 97, 'the other gets the rest');
    expect(heavy.mostOpen).toBeLessThanOrEqual(3);
  });

  it('one that comes back gets its share from then on, and not what it missed', async () => {
    const [heavy, light, rig] = await weighted(4);
    light.answers = { greeting: '421 4.3.2 later' };
    for (let i = 0; i < 100; i++) await rig.deliver(body);
    light.answers = {};
    await until(() => {
      rig.spool.add(body);
      return light.messages.length > 0;
    }, 'it is back');
    await until(() => rig.spool.entries.size === 0, 'nothing is under way');
    const [before, lightBefore] = [heavy.messages.length, light.messages.length];
    for (let i = 0; i < 40; i++) await rig.deliver(body);
    expect(heavy.messages.length - before + light.messages.length - lightBefore).toBe(40);
    expect(Math.abs(light.messages.length - lightBefore - 10)).toBeLessThanOrEqual(2);
  });
});
