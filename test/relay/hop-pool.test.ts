import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';

import type { HopContext } from '../support/fake-hop.js';
import { Bench, fakeHop, lmtp, routeTo, smtp, told, until } from './relay-bench.js';

const body = 'Subject: x\r\n\r\ntext\r\n';

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return address.port;
}

const shuttingDown = ({ socket }: HopContext): string => {
  setTimeout(() => socket.write('421 4.3.2 shutting down\r\n'), 20);
  return '250 2.0.0 taken';
};

describe('connections', () => {
  it('serve one message after the other, and QUIT when there is no more', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    for (let i = 0; i < 5; i++) await bench.deliver(body);
    expect([hop.connections, hop.messages.length]).toEqual([1, 5]);
    await until(() => hop.open === 0, 'the idle connection ends');
    expect(hop.commands.at(-1)).toBe('QUIT');
    await bench.deliver(body);
    expect(hop.connections).toBe(2);
  });

  it('are as many as the route allows at most, and all of them when there is work', async () => {
    const hop = await fakeHop({ endDelayMs: 20 });
    const bench = new Bench(routeTo([smtp(hop.port)], { connections: 3 }));
    for (let i = 0; i < 40; i++) bench.spool.add(body);
    bench.start();
    await bench.settled(40);
    expect([hop.mostOpen, hop.connections, hop.messages.length]).toEqual([3, 3, 40]);
    // One lease per lane in hand, one ahead.
    expect(bench.spool.mostLeased).toBeLessThanOrEqual(6);
  });

  it('end after messagesPerConnection, and the limit holds while they do', async () => {
    const hop = await fakeHop({ endDelayMs: 2 });
    const bench = new Bench(routeTo([smtp(hop.port)], { connections: 2, messagesPerConnection: 3 }));
    for (let i = 0; i < 30; i++) bench.spool.add(body);
    bench.start();
    await bench.settled(30);
    expect(hop.mostOpen).toBe(2);
    const perConnection = new Map<number, number>();
    for (const { connection } of hop.messages)
      perConnection.set(connection, (perConnection.get(connection) ?? 0) + 1);
    expect(Math.max(...perConnection.values())).toBe(3);
  });

  it('a kept connection that the hop has closed is replaced, at no cost to the message', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]), { idleConnectionMs: 10_000 });
    await bench.deliver(body);
    hop.cutAll();
    await until(() => hop.open === 0, 'the hop has closed');
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
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
    const bench = new Bench(routeTo([smtp(hop.port)]));
    await bench.deliver(body);
    kept = true;
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.connections).toBe(2);
  });

  it('A-142: a hop that says 421 on its own between messages is left alone', async () => {
    const hop = await fakeHop({ answers: { end: shuttingDown } });
    const bench = new Bench(routeTo([smtp(hop.port)]), { idleConnectionMs: 10_000 });
    await bench.deliver(body);
    await until(() => hop.open === 0, 'the connection ends');
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('a hop that does not answer QUIT is not waited for', async () => {
    const hop = await fakeHop({ answers: { QUIT: () => undefined } });
    const bench = new Bench(routeTo([smtp(hop.port)], { messagesPerConnection: 1 }), {
      timeouts: { quit: 30 },
    });
    await bench.deliver(body);
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('one that waits for the answer to QUIT counts, and makes room for the next', async () => {
    const hop = await fakeHop({ answers: { QUIT: () => undefined } });
    const bench = new Bench(routeTo([smtp(hop.port)], { connections: 1 }), {
      timeouts: { quit: 60_000 },
      idleConnectionMs: 20,
    });
    await bench.deliver(body);
    await until(() => hop.commands.includes('QUIT'), 'the idle connection says QUIT');
    await bench.deliver(body);
    expect(hop.connections).toBe(2);
    await until(() => hop.sockets === 1, 'the first connection ends');
  });

  it('RFC 5321 §4.5.3.1.8: more than 100 recipients are several transactions on one connection', async () => {
    const hop = await fakeHop();
    const names = Array.from({ length: 250 }, (_, i) => `r${i}`);
    const settlement = await new Bench(routeTo([smtp(hop.port)])).deliver(body, ...names);
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
    const settlement = await new Bench(routeTo([smtp(hop.port)])).deliver(body, ...names);
    const states = settlement.results.map((result) => result.state);
    expect([states.slice(0, 100), states.slice(100)]).toEqual([
      Array.from({ length: 100 }, () => 'delivered'),
      Array.from({ length: 50 }, () => 'pending'),
    ]);
  });
});

describe('failover', () => {
  it('the next hop is used when the first cannot be reached', async () => {
    const second = await fakeHop();
    const bench = new Bench(routeTo([smtp(await closedPort()), smtp(second.port)]));
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(bench.events('relay.hop-down')[0]).toMatchObject({
      reason: expect.stringContaining('ECONNREFUSED'),
    });
    expect(bench.events('relay.delivered')[0]).toMatchObject({ hop: `127.0.0.1:${second.port}` });
  });

  it.each([
    ['refuses in its greeting', { greeting: '554 5.3.2 no' }],
    ['refuses EHLO for now', { EHLO: '421 4.3.2 later' }],
    ['closes at once', { greeting: ({ socket }: HopContext): undefined => void socket.destroy() }],
    ['speaks HTTP', { greeting: 'HTTP/1.1 400 Bad Request' }],
    ['never greets', { greeting: () => undefined }],
  ])('and when it %s', async (_name, answers) => {
    const [first, second] = [await fakeHop({ answers }), await fakeHop()];
    const bench = new Bench(routeTo([smtp(first.port), smtp(second.port)]), { timeouts: { greeting: 100 } });
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(second.messages).toHaveLength(1);
  });

  it('but not once a hop has had its say on the message', async () => {
    const [first, second] = [await fakeHop({ answers: { MAIL: '451 4.3.0 later' } }), await fakeHop()];
    const settlement = await new Bench(routeTo([smtp(first.port), smtp(second.port)])).deliver(body);
    expect(told(settlement)).toEqual(['pending 451 4.3.0 later']);
    expect(second.connections).toBe(0);
  });

  it('one dead hop does not slow the rest: it is tried once, not for each message', async () => {
    // Accepts and says nothing: each try costs the time-out.
    const [dead, second] = [await fakeHop({ answers: { greeting: () => undefined } }), await fakeHop()];
    const route = routeTo([smtp(dead.port), smtp(second.port)], { connections: 1, messagesPerConnection: 1 });
    const bench = new Bench(route, { timeouts: { greeting: 300 } });
    for (let i = 0; i < 10; i++) bench.spool.add(body);
    bench.start();
    await bench.settled(10);
    expect(second.messages).toHaveLength(10);
    expect(dead.connections).toBe(1);
  });

  it('the first hop is used again when it is back', async () => {
    const [first, second] = [await fakeHop({ answers: { greeting: '421 4.3.2 later' } }), await fakeHop()];
    const route = routeTo([smtp(first.port), smtp(second.port)], { messagesPerConnection: 1 });
    const bench = new Bench(route);
    await bench.deliver(body);
    first.answers = {};
    await until(() => {
      bench.spool.add(body);
      return first.messages.length > 0;
    }, 'the first hop gets mail');
    expect(bench.events('relay.hop-up')).toHaveLength(1);
  });

  it('F-22: with no hop reachable a message is deferred, the others stay until one is', async () => {
    const port = await closedPort();
    const bench = new Bench(routeTo([lmtp(port)], { connections: 2 }));
    const settlement = await bench.deliver(body);
    expect(told(settlement)[0]).toMatch(/^pending .*ECONNREFUSED/);
    for (let i = 0; i < 10; i++) bench.spool.add(body);
    const { FakeHop } = await import('../support/fake-hop.js');
    const hop = await new FakeHop({ protocol: 'lmtp' }).listen(port);
    await bench.settled(11);
    expect(hop.messages).toHaveLength(10);
    expect(bench.spool.settlements.filter((each) => each.results[0]?.state === 'pending')).toHaveLength(1);
    await hop.close();
  });

  it('a host name with several addresses: the next address is tried', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([{ kind: 'smtp', host: 'localhost', port: hop.port }]));
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('a name without an address is a hop that cannot be reached', async () => {
    const bench = new Bench(routeTo([{ kind: 'smtp', host: 'no.such.host.invalid', port: 25 }]), {
      dnsServers: [`127.0.0.1:${await closedPort()}`],
    });
    expect(told(await bench.deliver(body))).toEqual(['pending no address for no.such.host.invalid']);
  });
});
