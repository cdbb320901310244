import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { RouteTls } from '../../src/config/config.js';
import { minAttemptsToExpire } from '../../src/relay/retry-schedule.js';
import { Bench, fakeHop, lmtp, retry, routeTo, smtp, told, until } from './relay-bench.js';

const body = 'Received: from a by b; now\r\nSubject: x\r\n\r\n.dot\r\n..two\r\nend\r\n';
const day = 86_400_000;

describe('what is due', () => {
  it('is delivered at the start, and when it comes later', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    bench.spool.add(body);
    bench.start();
    await bench.settled(1);
    bench.spool.add(body);
    await bench.settled(2);
    expect(hop.messages.map((message) => message.body.toString())).toEqual([body, body]);
    expect(bench.spool.entries.size).toBe(0);
  });

  it('F-24: a deferred message is tried again when its time has come, its delivered recipients not', async () => {
    let first = true;
    const rcpt = ({ line }: { line: string }): string =>
      first && line.includes('<b@') ? '450 4.2.0 later' : '250 ok';
    const hop = await fakeHop({ answers: { RCPT: rcpt } });
    const route = routeTo([smtp(hop.port)], { retry: { ...retry, firstMs: 300 } });
    const bench = new Bench(route);
    await bench.deliver(body, 'a', 'b');
    first = false;
    await bench.settled(2);
    expect(hop.messages.map((message) => message.recipients)).toEqual([
      ['a@example.test'],
      ['b@example.test'],
    ]);
    expect(bench.spool.entries.size).toBe(0);
  });

  it('is asked for again while more comes than one lease takes', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)], { connections: 2 })).start();
    for (let i = 0; i < 300; i++) bench.spool.add(body);
    await bench.settled(300);
    expect(new Set(bench.spool.settlements.map((each) => each.id)).size).toBe(300);
    expect(bench.deliveries).toEqual(new Map([['out delivered', 300]]));
    expect(bench.seconds).toHaveLength(300);
  });

  it('for two routes of one message goes to both, one after the other', async () => {
    const [left, right] = [await fakeHop(), await fakeHop({ protocol: 'lmtp' })];
    const bench = new Bench([
      routeTo([smtp(left.port)], { name: 'left' }),
      routeTo([lmtp(right.port)], { name: 'right' }),
    ]).start();
    bench.spool.add(body, {
      recipients: [
        { address: 'a@example.test', route: 'left' },
        { address: 'b@example.test', route: 'right' },
      ],
    });
    await bench.settled(2);
    expect(left.messages[0]?.recipients).toEqual(['a@example.test']);
    expect(right.messages[0]?.recipients).toEqual(['b@example.test']);
    expect(bench.spool.entries.size).toBe(0);
  });

  it('a slow route delays no other', async () => {
    const [slow, quick] = [await fakeHop({ answers: { greeting: () => undefined } }), await fakeHop()];
    const bench = new Bench([
      routeTo([smtp(slow.port)], { name: 'slow', connections: 1 }),
      routeTo([smtp(quick.port)], { name: 'quick', connections: 1 }),
    ]).start();
    for (let i = 0; i < 20; i++)
      bench.spool.add(body, {
        recipients: [{ address: 'a@example.test', route: i % 2 === 0 ? 'slow' : 'quick' }],
      });
    await bench.settled(10);
    expect(quick.messages).toHaveLength(10);
    expect(bench.dispatcher.busy).toBe(1);
  });

  it('an address that is named twice gets one copy', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    await bench.deliver(body, 'a', 'a');
    expect(hop.messages[0]?.recipients).toEqual(['a@example.test']);
    expect(bench.spool.entries.size).toBe(0);
  });

  it('a route that the config does not know is said once, and its mail stays', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)])).start();
    for (let i = 0; i < 3; i++)
      bench.spool.add(body, { recipients: [{ address: 'a@example.test', route: 'gone' }] });
    await bench.deliver(body);
    expect(bench.events('relay.no-route')).toMatchObject([{ route: 'gone', level: 50 }]);
    expect(bench.spool.entries.size).toBe(3);
  });
});

describe('the schedule', () => {
  it('C-076: defers by the attempts made', async () => {
    const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
    const nowMs = 1_700_000_000_000;
    const bench = new Bench(routeTo([smtp(hop.port)]), { now: () => nowMs });
    bench.spool.add(body, { arrivedAtMs: nowMs }, 3);
    await bench.start().settled(1);
    const delayMs = (bench.spool.settlements[0]?.nextAttemptAtMs ?? 0) - nowMs;
    expect(delayMs).toBeGreaterThanOrEqual(0.8 * 4 * retry.firstMs);
    expect(delayMs).toBeLessThanOrEqual(4 * retry.firstMs);
  });

  it('what is too old and was tried often enough fails, with the last reply', async () => {
    const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
    const bench = new Bench(routeTo([smtp(hop.port)]));
    bench.spool.add(body, { arrivedAtMs: Date.now() - 2 * day }, minAttemptsToExpire);
    await bench.start().settled(1);
    expect(bench.spool.settlements.map(told)).toEqual([['failed expired: 451 4.3.0 later']]);
    expect(bench.deliveries).toEqual(new Map([['out failed', 1]]));
  });

  it('F-30: a jump of the clock by ten years fails nothing at the first attempt', async () => {
    const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
    const bench = new Bench(routeTo([smtp(hop.port)]), { now: () => Date.now() + 3650 * day });
    expect(told(await bench.deliver(body))).toEqual(['pending 451 4.3.0 later']);
  });

  it('F-30: after the clock was set back a deferred message does not wait for the old time', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]), { now: () => Date.now() - day });
    expect(told(await bench.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    const id = bench.spool.add(body);
    bench.spool.entries.get(id)?.dueAtMs.set('out', Date.now());
    bench.spool.onDue?.('out');
    await bench.settled(2);
    expect(hop.messages).toHaveLength(2);
  });
});

const refuseNo = ({ line }: { line: string }): string => (line.includes('<no') ? '550 5.1.1 no' : '250 ok');

describe('the log', () => {
  it('has one line per kind of result, with what an operator looks for', async () => {
    const hop = await fakeHop({ answers: { RCPT: refuseNo } });
    const bench = new Bench(routeTo([smtp(hop.port)]));
    const { id } = await bench.deliver(body, 'a', 'b', 'no');
    const common = { qid: id, sid: 'S', route: 'out', hop: `127.0.0.1:${hop.port}`, attempts: 1 };
    expect(bench.events('relay.delivered')).toMatchObject([
      { ...common, reply: '250 2.0.0 taken', recipients: 2, seconds: expect.any(Number) },
    ]);
    expect(bench.events('relay.failed')).toMatchObject([{ ...common, reply: '550 5.1.1 no', recipients: 1 }]);
    expect(bench.deliveries).toEqual(
      new Map([
        ['out delivered', 2],
        ['out failed', 1],
      ]),
    );
  });
});

describe('leases', () => {
  it('one whose outcome the queue does not take is given back', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    bench.spool.settleError = new Error('disk');
    const id = bench.spool.add(body);
    bench.start();
    await until(() => bench.spool.unleased.includes(id), 'the lease is given back');
    expect(bench.events('relay.settle-failed')).toMatchObject([{ qid: id, reason: 'disk' }]);
  });

  it('a queue that cannot lease is asked again after a while', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    const lease = bench.spool.lease.bind(bench.spool);
    bench.spool.lease = () => Promise.reject(new Error('closed'));
    bench.spool.add(body);
    bench.start();
    await until(() => bench.events('relay.lease-failed').length > 0, 'the failure is logged');
    bench.spool.lease = lease;
    await bench.settled(1);
    expect(hop.messages).toHaveLength(1);
  });

  it('a bug of ours in a delivery leaves the message pending, and the stack in the log', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([{ kind: 'maildir', path: '/nowhere' }, smtp(hop.port)]));
    const lease = bench.spool.lease.bind(bench.spool);
    bench.spool.lease = async (...call) =>
      (await lease(...call)).map(({ message }) => ({
        message,
        body: () => {
          throw new TypeError('ours');
        },
      }));
    const settlement = await bench.deliver(body);
    expect(settlement.results[0]?.state).toBe('pending');
    expect(bench.spool.leased).toBe(0);
  });
});

describe('stop', () => {
  it('lets what is under way finish, takes nothing new, and says QUIT', async () => {
    const hop = await fakeHop({ endDelayMs: 150 });
    const bench = new Bench(routeTo([smtp(hop.port)], { connections: 2 }));
    for (let i = 0; i < 10; i++) bench.spool.add(body);
    bench.start();
    await until(() => hop.commands.filter((line) => line === 'DATA').length === 2, 'two are under way');
    await bench.dispatcher.stop(10_000);
    expect(hop.messages).toHaveLength(2);
    expect([bench.spool.settlements.length, bench.spool.leased, bench.dispatcher.busy]).toEqual([2, 0, 0]);
    expect(hop.commands.filter((line) => line === 'QUIT')).toHaveLength(2);
    bench.spool.add(body);
    expect([bench.spool.leased, bench.spool.entries.size]).toEqual([0, 9]);
  });

  it.each([
    ['in the greeting', { greeting: () => undefined }],
    ['in EHLO', { EHLO: () => undefined }],
    ['in DATA', { DATA: () => undefined }],
    ['after the final dot', { end: () => undefined }],
  ])('cuts what hangs %s at the bound: pending, due at once', async (_name, answers) => {
    const hop = await fakeHop({ answers });
    const bench = new Bench(routeTo([smtp(hop.port)]));
    bench.spool.add(body);
    bench.start();
    await until(() => hop.open === 1, 'the connection is open');
    await bench.dispatcher.stop(50);
    expect(bench.spool.settlements.map(told)).toEqual([['pending cut: the relay was stopped']]);
    expect(bench.spool.settlements[0]?.nextAttemptAtMs).toBeLessThanOrEqual(Date.now());
    expect([bench.spool.leased, bench.dispatcher.busy]).toEqual([0, 0]);
    await until(() => hop.open === 0, 'the connection ends');
  });

  it('cuts a connection that is being made', async () => {
    // TEST-NET-1: either no answer or no route, depending on the machine; both end as pending.
    const bench = new Bench(routeTo([smtp(25, '192.0.2.1')]));
    bench.spool.add(body);
    bench.start();
    await until(() => bench.spool.leased === 1 || bench.spool.settlements.length === 1, 'it is under way');
    await bench.dispatcher.stop(50);
    expect(bench.spool.settlements[0]?.results[0]?.state).toBe('pending');
    expect(bench.spool.leased).toBe(0);
  });

  it('ends though the queue does not answer', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    bench.spool.settle = () => new Promise(() => undefined);
    bench.spool.add(body);
    bench.start();
    await until(() => hop.messages.length === 1, 'it is delivered');
    await bench.dispatcher.stop(50);
    expect(bench.events('relay.stop-incomplete')).toHaveLength(1);
  });

  it('of an idle relay is at once', async () => {
    const hop = await fakeHop();
    const bench = new Bench(routeTo([smtp(hop.port)]));
    await bench.deliver(body);
    await bench.dispatcher.stop(10_000);
    await until(() => hop.open === 0, 'the connection ends');
    expect(hop.commands.at(-1)).toBe('QUIT');
  });
});

async function peer(options: SMTPServerOptions): Promise<{ port: number; received: string[] }> {
  const received: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        received.push(Buffer.concat(chunks).toString('latin1'));
        done(null, ...(options.lmtp === true ? [session.envelope.rcptTo.map(() => 'ok')] : []));
      });
    },
    ...options,
  });
  const listening = server.listen(0, '127.0.0.1');
  await new Promise((resolve) => {
    listening.once('listening', resolve);
  });
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(resolve);
      }),
  );
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return { port: address.port, received };
}

describe('independent peers', () => {
  it.each([
    ['SMTP in clear', { disabledCommands: ['STARTTLS'] }, 'off'],
    ['SMTP under TLS', {}, 'required'],
    ['SMTP without pipelining', { hidePIPELINING: true }, 'opportunistic'],
  ] satisfies [string, SMTPServerOptions, RouteTls][])(
    'smtp-server takes our mail: %s',
    async (_name, options, tls) => {
      const { port, received } = await peer(options);
      const bench = new Bench(routeTo([smtp(port)], { tls }));
      for (let i = 0; i < 5; i++)
        expect((await bench.deliver(body, 'a', 'b')).results[1]?.state).toBe('delivered');
      expect(received).toEqual(Array.from({ length: 5 }, () => body));
    },
  );

  it('smtp-server takes our mail: LMTP', async () => {
    const { port, received } = await peer({ lmtp: true, disabledCommands: ['STARTTLS'] });
    const settlement = await new Bench(routeTo([lmtp(port)])).deliver(body, 'a', 'b', 'c');
    expect(settlement.results.map((result) => result.state)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(received).toEqual([body]);
  });
});

it('a route to a Maildir stores the mail', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-relay-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'mail');
  const bench = new Bench(routeTo([{ kind: 'maildir', path }], { connections: 8 })).start();
  for (let i = 0; i < 50; i++) bench.spool.add(body);
  await bench.settled(50);
  expect(await readdir(join(path, 'new'))).toHaveLength(50);
  expect(bench.events('relay.delivered')[0]).toMatchObject({ hop: path });
});
