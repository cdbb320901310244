/**
 * Next hops that fail, each in its own way, and the end of every message sent to them: delivered, failed with the hop's
 * words, or waiting with them until the hop is repaired, and then delivered. One server has them all, each behind a
 * route and a domain of its own: what one hop does must not touch the mail of the others. Notifications are off, so
 * that what fails stays in the queue to be looked at; test/e2e/notifications.test.ts has what senders are told.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  FakeHop,
  type Answer,
  type FakeHopOptions,
  type HopContext,
  type ReceivedMessage,
} from '../support/fake-hop.js';
import { peerPath, skipReason } from '../support/peers.js';
import { freePort, isListening } from '../support/ports.js';
import {
  root,
  startPostern,
  testCertificate,
  type ConfigOverrides,
  type RunningPostern,
} from '../support/postern.js';
import { until } from '../support/processes.js';
import { Program } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

const mail = 'Subject: x\r\n\r\n.a dot\r\ntext\r\n';
const eightBit = 'Subject: x\r\n\r\n\u00e9\r\n';
/** More than the kernel takes for a hop that does not read: its buffers hold some MiB. */
const large = `Subject: large\r\n\r\n${`${'x'.repeat(98)}\r\n`.repeat(140_000)}`;
const retry = { first: '1s', max: '2s' };
const boundMs = 60_000;

type Ending =
  /** Taken at once. */
  | { readonly end: 'delivered' }
  /** Refused for good, at the first attempt. */
  | { readonly end: 'failed'; readonly reply: RegExp }
  /** Tried again with this result; delivered once the hop is repaired. */
  | { readonly end: 'waits'; readonly reply: RegExp };

interface Case {
  readonly name: string;
  readonly ending: Ending;
  readonly message?: string;
  readonly route?: ConfigOverrides;
  /** The hop may have the message although it did not say so: the attempts are counted as ambiguous. */
  readonly ambiguous?: boolean;
}

interface SinkCase extends Case {
  /** Of smtp-sink. */
  readonly flags: readonly string[];
}

interface HostileCase extends Case {
  /** Undefined: nobody listens until it is repaired. */
  readonly options: FakeHopOptions | undefined;
}

const soft = /^450 4\.3\.0 Error: command failed$/;
const hard = /^500 5\.3\.0 Error: command failed$/;
const bye = /^(greeting: )?421 .*/;
const closed = /^(the connection was closed|(read|write) (ECONNRESET|EPIPE))$/;

function forEach<T>(stages: readonly string[], make: (stage: string) => T): T[] {
  return stages.map(make);
}

const transaction = ['MAIL', 'RCPT', 'DATA', '.'];

const sinkCases: readonly SinkCase[] = [
  { name: 'no fault at all', flags: [], ending: { end: 'delivered' } },
  ...forEach(transaction, (stage) => ({
    name: `F-24: tempfail at ${stage}`,
    flags: ['-r', stage],
    ending: { end: 'waits' as const, reply: soft },
  })),
  ...forEach(transaction, (stage) => ({
    name: `F-25: reject at ${stage}`,
    flags: ['-f', stage],
    ending: { end: 'failed' as const, reply: hard },
  })),
  ...forEach(transaction, (stage) => ({
    name: `F-27: disconnect after ${stage}`,
    flags: ['-q', stage],
    ending: { end: 'waits' as const, reply: closed },
    ambiguous: stage === '.',
  })),
  ...forEach(transaction, (stage) => ({
    name: `F-28: 421 and disconnect after ${stage}`,
    flags: ['-Q', stage],
    ending: { end: 'waits' as const, reply: bye },
  })),
  { name: 'F-28: 421 instead of a greeting', flags: ['-Q', 'CONNECT'], ending: { end: 'waits', reply: bye } },
  {
    name: 'F-25: 5xx instead of a greeting is no verdict on the mail',
    flags: ['-f', 'CONNECT'],
    ending: { end: 'waits', reply: /^greeting: 5\d\d / },
  },
  {
    name: 'slow at DATA and the final dot, within the time-outs',
    flags: ['-w', '1', '-W', '.:1'],
    ending: { end: 'delivered' },
  },
  {
    name: 'F-23: slow to greet, beyond the time-out',
    flags: ['-W', 'CONNECT:30'],
    route: { timeouts: { greeting: '500ms' } },
    ending: { end: 'waits', reply: /^no reply to the connection within 1 s$/ },
  },
  {
    name: 'F-29: slow after the final dot, beyond the time-out',
    flags: ['-W', '.:30'],
    route: { timeouts: { end: '500ms' } },
    ending: { end: 'waits', reply: /^no reply to the final dot within 1 s$/ },
    ambiguous: true,
  },
  {
    name: 'F-29: a small window, read late',
    flags: ['-T', '1024', '-H', '1'],
    message: large,
    ending: { end: 'delivered' },
  },
  {
    name: 'F-29: reads no content, then refuses it',
    flags: ['-A', '1'],
    message: large,
    ending: { end: 'failed', reply: /^550 / },
  },
  {
    name: 'C-092: no 8BITMIME, 8-bit mail',
    flags: ['-8'],
    message: eightBit,
    ending: { end: 'failed', reply: /^5\.6\.3 / },
  },
  { name: 'C-092: no 8BITMIME, 7-bit mail', flags: ['-8'], ending: { end: 'delivered' } },
  { name: 'no ESMTP', flags: ['-e'], ending: { end: 'delivered' } },
  { name: 'no pipelining', flags: ['-p'], ending: { end: 'delivered' } },
];

const garbage =
  (bytes: string): Answer =>
  ({ socket }) => {
    socket.write(bytes);
    return undefined;
  };

const cut: Answer = ({ socket }) => {
  socket.destroy();
  return undefined;
};

const drip: Answer = ({ socket }) => {
  const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write('2')), 100);
  return undefined;
};

const meanwhile =
  (said: string) =>
  ({ socket }: HopContext): string => {
    setTimeout(() => socket.write(said), 50);
    return '354 go';
  };

const endless = '220-'.concat('x'.repeat(76), '\r\n').repeat(2_000);

const hostileCases: readonly HostileCase[] = [
  {
    name: 'F-22: nobody listens',
    options: undefined,
    ending: { end: 'waits', reply: /ECONNREFUSED/ },
  },
  {
    name: 'A-140: an endless greeting',
    options: { answers: { greeting: garbage(endless) } },
    ending: { end: 'waits', reply: /^a reply is too long$/ },
  },
  {
    name: 'A-140: an endless line',
    options: { answers: { EHLO: garbage(`250-${'x'.repeat(1_000_000)}`) } },
    ending: { end: 'waits', reply: /^a reply line is too long$/ },
  },
  {
    name: 'A-140: a code that changes half-way',
    options: { answers: { MAIL: garbage('250-ok\r\n550 no\r\n') } },
    ending: { end: 'waits', reply: /^a reply changes its code half-way$/ },
  },
  {
    name: 'A-140, F-29: a reply of one byte at a time',
    options: { answers: { greeting: drip } },
    route: { timeouts: { greeting: '1s' } },
    ending: { end: 'waits', reply: /^no reply to the connection within 1 s$/ },
  },
  {
    name: 'A-086: control characters in a refusal',
    options: { answers: { RCPT: '550 5.1.1 \u001b[2J\u0007no\u0080' } },
    ending: { end: 'failed', reply: /^550 5\.1\.1 \?\[2J\?no\?+$/ },
  },
  {
    name: 'A-141: names of object properties and a SIZE of 20 digits',
    options: { extensions: ['__proto__', 'constructor', 'SIZE 99999999999999999999'] },
    ending: { end: 'delivered' },
  },
  {
    name: 'A-141: SIZE 10',
    options: { extensions: ['SIZE 10'] },
    ending: { end: 'failed', reply: /^5\.3\.4 the message has \d+ bytes, the next hop takes at most 10$/ },
  },
  {
    name: 'A-142: 250 to DATA',
    options: { answers: { DATA: '250 2.0.0 done' } },
    ending: { end: 'waits', reply: /^DATA: 250 2\.0\.0 done$/ },
  },
  {
    name: 'A-142: 354 twice',
    options: { answers: { DATA: '354 go\r\n354 go' } },
    ending: { end: 'waits', reply: /^(unexpected reply|the final dot): 354 go$/ },
  },
  {
    name: 'A-142: every reply of the envelope twice',
    options: { answers: { MAIL: '250 ok\r\n250 ok', RCPT: '250 ok\r\n250 ok' } },
    ending: { end: 'waits', reply: /^(DATA: 250 ok|unexpected reply: .*)$/ },
  },
  {
    name: 'A-142: 250 before the end of the content',
    options: { answers: { DATA: meanwhile('250 2.0.0 taken\r\n') }, deafBody: true },
    message: large,
    ending: { end: 'waits', reply: /^unexpected reply: 250 2\.0\.0 taken$/ },
  },
  {
    name: 'A-142: 421 in the middle of the content',
    options: { answers: { DATA: meanwhile('421 4.3.2 bye\r\n') }, deafBody: true },
    message: large,
    ending: { end: 'waits', reply: /^421 4\.3\.2 bye$/ },
  },
  {
    name: 'A-142: 354 although nobody was taken',
    options: { answers: { RCPT: '450 4.2.0 later', DATA: '354 go' } },
    ending: { end: 'waits', reply: /^450 4\.2\.0 later$/ },
  },
  {
    name: 'A-028: plaintext behind the 220 of STARTTLS',
    options: { extensions: ['STARTTLS'], answers: { STARTTLS: '220 go\r\n250 injected' } },
    route: { tls: 'opportunistic' },
    ending: {
      end: 'waits',
      reply: /^(unexpected reply: 250 injected|plaintext behind the reply to STARTTLS)$/,
    },
  },
  {
    name: 'A-028: STARTTLS stripped where the route requires it',
    options: { answers: { EHLO: '250 hop' }, tls: certificate() },
    route: { tls: 'required' },
    ending: { end: 'waits', reply: /^4\.7\.4 the hop does not offer STARTTLS/ },
  },
  {
    name: 'A-143: a certificate that nobody knows, to a route that verifies it',
    options: { tls: certificate() },
    route: { tls: 'verified', tlsCa: join(root, 'test/support/tls/hops/ca.crt') },
    ending: { end: 'waits', reply: /^4\.7\.5 the certificate of 127\.0\.0\.1 is refused: / },
  },
  {
    name: 'C-120: a password that is wrong',
    options: { tls: certificate(), extensions: ['AUTH PLAIN'], answers: { AUTH: '535 5.7.8 no' } },
    route: { tls: 'required', auth: { user: 'gate', password: 'secret' } },
    ending: { end: 'waits', reply: /^AUTH: 535 5\.7\.8 no$/ },
  },
  {
    name: 'F-29: takes no content',
    options: { deafBody: true },
    route: { timeouts: { data: '1s' } },
    message: large,
    ending: { end: 'waits', reply: /^no data taken within 1 s$/ },
  },
  {
    name: 'RFC 3030: does not know the BDAT that it announced',
    options: { extensions: ['PIPELINING', 'CHUNKING'], bdatUnknown: true },
    // The next attempt is made with DATA.
    ending: { end: 'delivered' },
  },
  {
    name: 'RFC 3030: a cut in the middle of BDAT',
    options: { extensions: ['PIPELINING', 'CHUNKING'], answers: { BDAT: cut } },
    ending: { end: 'delivered' },
  },
];

/** What every route here can use. */
const wellBehaved: FakeHopOptions = {
  tls: {
    key: readFileSync(join(root, 'test/support/tls/hops/hop.key')),
    cert: readFileSync(join(root, 'test/support/tls/hops/good.crt')),
  },
  extensions: ['8BITMIME', 'AUTH PLAIN'],
};

function certificate(): { key: Buffer; cert: Buffer } {
  return { key: readFileSync(testCertificate.key), cert: readFileSync(testCertificate.certificate) };
}

const isSkipped = skipReason('smtp-sink');
const cases: readonly Case[] = [...(isSkipped === undefined ? sinkCases : []), ...hostileCases];

/** Answers RCPT by the local part: `r450@…` gets 450. */
const byName: Answer = ({ line }) => {
  const code = /<r(\d{3})/.exec(line)?.[1] ?? '250';
  return `${code} ${code.charAt(0)}.1.1 said`;
};

const partialRoute = 'partial';
const partialHop = new FakeHop({ answers: { RCPT: byName } });

let directory = '';
let partialPort = 0;
let postern: RunningPostern;
const sinks = new Map<SinkCase, Program>();
const hops = new Map<HostileCase, FakeHop>();
const ports = new Map<Case, number>();

const routeName = (each: Case): string => `r${cases.indexOf(each)}`;
const domainOf = (each: Case): string => `${routeName(each)}.test`;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-hop-faults-'));
  // Nobody holds a free port until it is used: one may be given twice.
  const free = new Set<number>();
  while (free.size <= cases.length) free.add(await freePort());
  [partialPort = 0] = free;
  for (const [index, port] of [...free].slice(1).entries()) {
    const each = cases[index];
    if (each !== undefined) ports.set(each, port);
  }
  postern = await startPostern({ config: configOf() });
  for (const each of hostileCases)
    if (each.options !== undefined) hops.set(each, await new FakeHop(each.options).listen(ports.get(each)));
  if (isSkipped === undefined) for (const each of sinkCases) startSink(each, each.flags, 'faulty');
  for (const sink of sinks.keys())
    await until('smtp-sink listens', () => isListening(ports.get(sink) ?? 0), boundMs);
  await partialHop.listen(partialPort);
  const client = await SmtpClient.greeted(postern.smtpPort);
  for (const each of cases) await submit(client, [`you@${domainOf(each)}`], each.message ?? mail);
  await submit(
    client,
    ['r250', 'r450', 'r550'].map((name) => `${name}@${partialRoute}.test`),
    mail,
  );
  client.destroy();
}, 120_000);

afterAll(async () => {
  await postern.dispose();
  await Promise.all([...sinks.values()].map((sink) => sink.stop()));
  await Promise.all([partialHop, ...hops.values()].map((hop) => hop.close()));
  rmSync(directory, { recursive: true, force: true });
});

async function submit(client: SmtpClient, recipients: readonly string[], message: string): Promise<void> {
  expect(await client.command('MAIL FROM:<sender@client.test> BODY=8BITMIME')).toMatch(/^250/);
  for (const recipient of recipients) expect(await client.command(`RCPT TO:<${recipient}>`)).toMatch(/^250/);
  expect(await client.command('DATA')).toMatch(/^354/);
  client.write(Buffer.from(message.replaceAll('\r\n.', '\r\n..'), 'latin1'));
  client.write('.\r\n');
  expect(await client.reply()).toMatch(/^250 2\.0\.0 Ok: queued as/);
}

function configOf(): ConfigOverrides {
  const names = [...cases.map(routeName), partialRoute];
  const routes = cases.map((each) => [
    routeName(each),
    { to: `smtp://127.0.0.1:${ports.get(each)}`, tls: 'off', retry, ...each.route },
  ]);
  return {
    routes: {
      ...Object.fromEntries(routes),
      [partialRoute]: { to: `smtp://127.0.0.1:${partialPort}`, tls: 'off', retry },
    },
    domains: names.map((name) => ({ names: [`${name}.test`], recipients: 'any', route: name })),
    workers: 1,
    notifications: { enabled: false },
  };
}

/** Each transaction that it begins is a file in `folder`. */
function startSink(each: SinkCase, flags: readonly string[], folder: string): void {
  const dump = join(directory, folder, routeName(each), 'message.');
  const args = ['-u', userInfo().username, '-d', dump, ...flags, `127.0.0.1:${ports.get(each)}`, '100'];
  sinks.set(each, new Program(peerPath('smtp-sink'), args));
}

function transactionsOf(each: SinkCase, folder: string): number {
  const place = join(directory, folder, routeName(each));
  return existsSync(place) ? readdirSync(place).length : 0;
}

interface Row {
  readonly attempts: number;
  readonly recipients: readonly {
    readonly address: string;
    readonly state: string;
    readonly lastReply: string;
  }[];
}

/** The one message of the case that is in the queue, or undefined. */
function queued(each: Case): Promise<Row | undefined> {
  return queuedFor(routeName(each));
}

async function queuedFor(route: string): Promise<Row | undefined> {
  const response = await postern.api(`/api/v1/queue?route=${route}`);
  const { messages } = (await response.json()) as { messages: readonly Row[] };
  return messages[0];
}

async function delivered(each: Case): Promise<void> {
  await until('it is delivered', async () => (await queued(each)) === undefined, boundMs);
  expect(await postern.metric('postern_relay_deliveries_total', result(each, 'delivered'))).toBe(1);
}

function result(each: Case, name: string): Record<string, string> {
  return { route: routeName(each), result: name };
}

async function ends(each: Case, repair: () => Promise<void>): Promise<void> {
  const { ending } = each;
  if (ending.end === 'delivered') return delivered(each);
  if (ending.end === 'failed') {
    await until('it fails', async () => (await queued(each))?.recipients[0]?.state === 'failed', boundMs);
    expect(await queued(each)).toMatchObject({
      attempts: 1,
      recipients: [{ state: 'failed', lastReply: expect.stringMatching(ending.reply) }],
    });
    return;
  }
  let row: Row | undefined;
  // An attempt in between may have met a hop that was busy closing: the words of the fault come with the next.
  const isTriedAgain = async (): Promise<boolean> => {
    row = await queued(each);
    return (row?.attempts ?? 0) >= 2 && ending.reply.test(row?.recipients[0]?.lastReply ?? '');
  };
  await until('it is tried again', isTriedAgain, boundMs);
  expect(row?.recipients).toEqual([expect.objectContaining({ state: 'pending' })]);
  // No busy loop: between attempts are the waits of the schedule.
  expect(row?.attempts).toBeLessThan(50);
  const ambiguous = await postern.metric('postern_relay_ambiguous_total', { route: routeName(each) });
  expect(ambiguous > 0).toBe(each.ambiguous === true);
  await repair();
  await delivered(each);
}

describe.skipIf(isSkipped)('smtp-sink as the next hop', () => {
  test.concurrent.each(sinkCases.map((each) => [each.name, each] as const))(
    '%s',
    { timeout: boundMs },
    async (_name, each) => {
      await ends(each, async () => {
        await sinks.get(each)?.stop();
        startSink(each, [], 'repaired');
      });
      const { end } = each.ending;
      if (end === 'delivered') expect(transactionsOf(each, 'faulty')).toBe(1);
      expect(transactionsOf(each, 'repaired')).toBe(end === 'waits' ? 1 : 0);
    },
  );
});

describe('a hostile next hop', () => {
  test.concurrent.each(hostileCases.map((each) => [each.name, each] as const))(
    '%s',
    { timeout: boundMs },
    async (_name, each) => {
      const hop = hops.get(each);
      await ends(each, async () => {
        await hop?.close();
        hops.set(each, await new FakeHop(wellBehaved).listen(ports.get(each)));
      });
      const taken = [...new Set([hop, hops.get(each)])].flatMap(
        (one) => one?.messages.filter(hasRecipient) ?? [],
      );
      expect(taken.length).toBe(each.ending.end === 'failed' ? 0 : 1);
      for (const { body } of taken) expect(body.toString('latin1').endsWith(each.message ?? mail)).toBe(true);
    },
  );
});

/** The lone dot of RFC 2920 §3.1 is no message. */
function hasRecipient({ recipients }: ReceivedMessage): boolean {
  return recipients.some((address) => address !== '');
}

test(
  'F-26: of three recipients one is delivered, one waits and one failed',
  { timeout: boundMs },
  async () => {
    const names = ['r250', 'r450', 'r550'].map((name) => `${name}@${partialRoute}.test`);
    await until(
      'the second attempt is over',
      async () => ((await queuedFor(partialRoute))?.attempts ?? 0) >= 3,
      boundMs,
    );
    expect((await queuedFor(partialRoute))?.recipients).toMatchObject([
      { address: names[0], state: 'delivered', lastReply: '250 2.0.0 taken' },
      { address: names[1], state: 'pending', lastReply: '450 4.1.1 said' },
      { address: names[2], state: 'failed', lastReply: '550 5.1.1 said' },
    ]);
    expect(partialHop.messages.map(({ recipients }) => recipients)).toEqual([[names[0]]]);
    // Later attempts are for the one that waits.
    const asked = partialHop.commands.filter((line) => line.startsWith('RCPT'));
    expect(asked.slice(0, 4)).toEqual([...names, names[1]].map((name) => `RCPT TO:<${name}>`));
    partialHop.answers = { RCPT: '250 2.1.5 ok' };
    await until('the second is delivered', () => partialHop.messages.length === 2, boundMs);
    expect(partialHop.messages[1]?.recipients).toEqual([names[1]]);
  },
);

test('every worker is the one that was started, and none logged an error of its own', () => {
  expect(postern.log.filter((line) => line.event === 'relay.error' || line.event === 'worker.died')).toEqual(
    [],
  );
});
