/** What an operator does to a running server, every command for real: the built server, its CLI, and a next hop that refuses. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { QueueDetail, QueueShape, QueueStats, Status } from '../../src/base/messages.js';
import { FakeHop } from '../support/fake-hop.js';
import { runLoad, startLoad } from '../support/load.js';
import { posternMain, startPostern, type ConfigOverrides, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run, type Exit } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

type Outcome = Exit & { stdout: string; stderr: string };

const greylisted = '451 4.7.1 greylisted, come back later';
let directory = '';
let hop: FakeHop;
const servers: RunningPostern[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-operator-'));
  hop = await new FakeHop({ answers: { RCPT: greylisted } }).listen();
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.dispose()));
  await hop.close();
  rmSync(directory, { recursive: true, force: true });
});

/** All mail for three domains to the one hop; nothing is tried twice by itself. */
async function start(more: ConfigOverrides = {}): Promise<RunningPostern> {
  const to = `smtp://127.0.0.1:${hop.port}`;
  const server = await startPostern({
    config: {
      domains: [{ names: ['one.test', 'two.test', 'three.test'], recipients: 'any', route: 'office' }],
      routes: { office: { to, tls: 'off', retry: { first: '1h', max: '4h', expire: '5d' } } },
      ...more,
    },
  });
  servers.push(server);
  return server;
}

function cli(server: RunningPostern, args: readonly string[], input = ''): Promise<Outcome> {
  return run(process.execPath, [posternMain, ...args, '--config', server.configFile], { input });
}

async function json<T>(server: RunningPostern, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await cli(server, [...args, '--json']);
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
  const value: T = JSON.parse(stdout);
  return value;
}

/** Of all that fit, over the API alone: a process for each look would take most of the time. */
async function idsOf(server: RunningPostern, query = ''): Promise<string[]> {
  const answer: { ids: string[]; complete: boolean } = await api(server, `/api/v1/queue/ids?${query}`);
  expect(answer.complete).toBe(true);
  return answer.ids;
}

async function api<T>(server: RunningPostern, path: string): Promise<T> {
  const response = await server.api(path);
  expect(response.status).toBe(200);
  const value: T = JSON.parse(await response.text());
  return value;
}

const stats = (server: RunningPostern): Promise<QueueStats> => api(server, '/api/v1/queue/stats');

async function untilCounts(server: RunningPostern, wanted: Partial<QueueStats['messages']>): Promise<void> {
  const probe = async (): Promise<boolean> => {
    const { messages } = await stats(server);
    return JSON.stringify({ ...messages, ...wanted }) === JSON.stringify(messages);
  };
  await until(`the queue counts ${JSON.stringify(wanted)}`, probe, 60_000);
}

const send = (server: RunningPostern, messages: number, ...args: string[]): ReturnType<typeof runLoad> =>
  runLoad(server.smtpPort, ['--messages', String(messages), '--size', '2000', ...args]);

/** Its id. */
async function sendOne(server: RunningPostern, mail: string, rcpt: string, body: string): Promise<string> {
  const client = await SmtpClient.greeted(server.smtpPort);
  await client.command(mail);
  await client.command(rcpt);
  await client.command('DATA');
  client.write(`${body}.\r\n`);
  const reply = await client.reply();
  client.destroy();
  return /queued as (\S+)/.exec(reply)?.[1] ?? reply;
}

const largeBody = `Subject: large\r\n\r\n${'0123456789abcdef'.repeat(4).concat('\r\n').repeat(30_000)}`;

test('300 messages that a hop refuses: every command', { timeout: 180_000 }, async () => {
  const server = await start();
  await send(server, 300, '--to', 'joe@one.test', '--from', 'news@sender.test');
  await send(server, 15, '--to', 'ann@two.test', '--from', 'Boss@Sender.test');
  await send(server, 5, '--to', 'x@three.test', '--from', 'spam@elsewhere.test');
  const large = await sendOne(
    server,
    'MAIL FROM:<a@sender.test> RET=HDRS ENVID=QQ314159',
    'RCPT TO:<ann@two.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann@two.test',
    largeBody,
  );
  await untilCounts(server, { deferred: 321, active: 0 });

  // list, by each filter
  const page = await json<{ total: number; messages: unknown[] }>(server, 'queue', 'list', '--limit', '7');
  expect(page).toMatchObject({ total: 321, complete: true, messages: { length: 7 } });
  const counts: readonly (readonly [string, number])[] = [
    ['route=office', 321],
    ['domain=two.test', 16],
    ['sender=boss@sender.test', 15],
    ['sender=@sender.test', 316],
    ['sender=%3C%3E', 0],
    ['recipient=joe@ONE.test', 300],
    ['error=GREYLISTED', 321],
    ['error=no%20such%20user', 0],
    ['state=held', 0],
    ['youngerThanMs=3600000', 321],
    ['olderThanMs=3600000', 0],
  ];
  for (const [query, count] of counts)
    expect({ query, count: (await idsOf(server, query)).length }).toEqual({ query, count });
  const unknown = await cli(server, ['queue', 'list', '--route', 'elsewhere']);
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toContain('there is no route "elsewhere"; the routes: disk, office');
  const all = ['--state', 'deferred', '--route', 'office', '--domain', 'three.test', '--sender', 'spam@elsewhere.test', '--recipient', '@three.test', '--younger', '2h30m', '--older', '1ms', '--error', '4.7.1'];
  const few = (await cli(server, ['queue', 'list', '--ids', ...all])).stdout.split('\n');
  expect(few).toEqual(await idsOf(server, 'domain=three.test'));

  // show: the envelope, what the hop said, the header; the message itself
  const detail = await json<QueueDetail[]>(server, 'queue', 'show', large);
  expect(detail[0]).toMatchObject({
    id: large,
    state: 'deferred',
    from: 'a@sender.test',
    ret: 'HDRS',
    envelopeId: 'QQ314159',
    dsn: [{ address: 'ann@two.test', notify: ['FAILURE', 'DELAY'], originalRecipient: 'rfc822;ann@two.test' }],
    attempts: 1,
    attemptLog: [{ route: 'office', hop: `127.0.0.1:${hop.port}`, reply: greylisted }],
    recipients: [{ address: 'ann@two.test', state: 'pending', lastReply: greylisted }],
  });
  const text = (await cli(server, ['queue', 'show', large])).stdout;
  expect(text).toContain(`127.0.0.1:${hop.port}  ${greylisted}`);
  expect(text).toContain('notify FAILURE,DELAY, orcpt rfc822;ann@two.test');
  expect(text).toContain('  Subject: large');
  const body = (await cli(server, ['queue', 'show', large, '--body'])).stdout;
  expect(body.replaceAll('\r', '').endsWith(largeBody.replaceAll('\r', '').trimEnd())).toBe(true);

  // shape
  const shape = await json<QueueShape>(server, 'queue', 'shape');
  expect(shape.rows.map(({ domain, counts: [young] }) => [domain, young])).toEqual([
    ['one.test', 300],
    ['two.test', 16],
    ['three.test', 5],
  ]);
  expect((await cli(server, ['queue', 'shape'])).stdout.split('\n')[1]).toMatch(/^ *TOTAL +321 +321 +0 /);

  // Many are counted first, and where nobody can be asked nothing is done.
  const refused = await cli(server, ['queue', 'hold', '--route', 'office']);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toMatch(/^postern: This would hold 321 messages of 3 domains \(.*MiB\)\. Nothing was done/);
  expect(await cli(server, ['queue', 'delete', large])).toMatchObject({ code: 2 });
  expect((await stats(server)).messages).toMatchObject({ deferred: 321, held: 0 });
  const dry = await json(server, 'queue', 'retry', '--domain', 'two.test', '--dry-run');
  expect(dry).toMatchObject({ change: 'retry', asked: 16, found: 16, domains: ['two.test'] });

  // hold: a few by id, many from stdin, as lines and as JSON
  const many = await idsOf(server, 'domain=one.test');
  const heldFew = await cli(server, ['queue', 'hold', '-'], few.join('\n'));
  expect(heldFew.stdout.split('\n')).toEqual(few.map((id) => `${id}: held`));
  expect(await cli(server, ['queue', 'hold', '-'], many.join('\n'))).toMatchObject({ code: 2 });
  const heldMany = await cli(server, ['queue', 'hold', '-', '--yes'], `${many.join('\n')}\n`);
  expect(heldMany).toMatchObject({ code: 0, stdout: '300 messages held', stderr: '' });
  const listed = (await cli(server, ['queue', 'list', '--domain', 'two.test', '--json'])).stdout;
  expect(await cli(server, ['queue', 'hold', '-', '--yes', '--json'], listed)).toMatchObject({ code: 0 });
  await untilCounts(server, { held: 321, deferred: 0 });

  // Held mail stays, whatever the hop says now; released mail goes.
  hop.answers = {};
  expect(await json(server, 'queue', 'release', '--domain', 'two.test', '--yes')).toEqual({
    change: 'release',
    asked: 16,
    done: 16,
    missing: 0,
  });
  await untilCounts(server, { held: 305, deferred: 0, active: 0 });
  expect(hop.messages).toHaveLength(16);
  expect(hop.messages.some(({ body: arrived }) => arrived.toString('latin1').endsWith(largeBody))).toBe(true);

  // delete, and what is gone is said
  expect(await cli(server, ['queue', 'delete', '--sender', 'spam@elsewhere.test', '--yes'])).toMatchObject({
    code: 0,
    stdout: '5 messages deleted',
  });
  const gone = await cli(server, ['queue', 'show', few[0] ?? '']);
  expect(gone).toMatchObject({ code: 1, stdout: '' });
  expect(gone.stderr).toContain('no message');

  // freeze: released mail waits, over a reload too; thaw: it goes
  expect(await cli(server, ['queue', 'freeze', 'office'])).toMatchObject({ code: 0, stdout: 'office: frozen' });
  const nowhere = await cli(server, ['queue', 'freeze', 'nowhere']);
  expect(nowhere).toMatchObject({ code: 1 });
  expect(nowhere.stderr).toContain('office');
  await cli(server, ['queue', 'release', '--all', '--yes']);
  expect(await cli(server, ['reload'])).toMatchObject({ code: 0 });
  await untilCounts(server, { held: 0 });
  expect(await json<Status>(server, 'status')).toMatchObject({ frozen: ['office'] });
  expect((await cli(server, ['status'])).stdout).toContain('frozen route: office');
  expect(await cli(server, ['queue', 'retry', '--all', '--yes'])).toMatchObject({ code: 0 });
  expect(hop.messages).toHaveLength(16);
  expect((await stats(server)).messages).toMatchObject({ active: 0, deferred: 300 });
  expect(await cli(server, ['queue', 'thaw', 'office'])).toMatchObject({ code: 0, stdout: 'office: thawed' });
  await untilCounts(server, { active: 0, deferred: 0 });
  await until('all of it has arrived', () => hop.messages.length === 316);

  expect(await cli(server, ['queue', 'salvage'])).toMatchObject({ code: 0, stdout: 'No queue file is quarantined.' });
  expect((await cli(server, ['queue', 'list'])).stdout).toBe('The queue is empty.');
}); // prettier-ignore

interface Exported {
  readonly envelope: Record<string, unknown>;
  readonly sha256: string;
}

/** The messages of an export by id: the envelope, and the checksum of the bytes alone. */
function readExport(file: string): Map<string, Exported> {
  const messages = new Map<string, Exported>();
  let id = '';
  let envelope: Record<string, unknown> = {};
  let hash = createHash('sha256');
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue;
    const value: Record<string, unknown> = JSON.parse(line);
    if (typeof value['message'] === 'string' && isMap(value['envelope'])) {
      id = value['message'];
      envelope = value['envelope'];
      hash = createHash('sha256');
    } else if (typeof value['data'] === 'string') hash.update(Buffer.from(value['data'], 'base64'));
    else if (value['end'] === id) messages.set(id, { envelope, sha256: hash.digest('hex') });
  }
  return messages;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

describe('export and import', () => {
  test('F-40 an export under load is complete, and another server has the same messages after the import', { timeout: 180_000 }, async () => {
    const from = await start();
    await send(from, 400, '--to', 'joe@one.test');
    const large = await sendOne(from, 'MAIL FROM:<>', 'RCPT TO:<ann@two.test> NOTIFY=NEVER', largeBody);
    await untilCounts(from, { deferred: 401, active: 0 });
    const before = await idsOf(from);
    const load = startLoad(from.smtpPort, ['--duration', '60', '--rate', '100', '--size', '3000', '--to', 'more@three.test']);
    await until('more mail flows', async () => (await from.metric('postern_messages_accepted_total')) > 450);
    const file = join(directory, 'queue.export');
    const exported = await cli(from, ['queue', 'export', '--to', file]);
    expect(exported).toMatchObject({ code: 0, stdout: '' });
    expect(exported.stderr).toMatch(/^\d[\d ]* messages exported, /);
    expect(load.program.isRunning).toBe(true);
    await load.program.stop();
    expect(load.result().troubles).toEqual({});
    const here = readExport(file);
    expect(before.filter((id) => !here.has(id))).toEqual([]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await cli(from, ['queue', 'import', '--check', file])).toMatchObject({ code: 0, stdout: expect.stringContaining('whole: ') });

    // A second server, whose worker falls in the middle: what it had not on disk is sent again.
    const to = await start({ workers: 2 });
    const importing = cli(to, ['queue', 'import', file, '--hold', '--json']);
    await until('some are in', async () => (await to.metric('postern_queue_messages', { state: 'held' })) > 50);
    process.kill(to.workerPids()[0] ?? 0, 'SIGKILL');
    const { code, stdout, stderr } = await importing;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const summary: { imported: number; known: number } = JSON.parse(stdout);
    expect(summary.imported + summary.known).toBe(here.size);
    expect((await stats(to)).messages).toMatchObject({ held: here.size, active: 0, deferred: 0 });
    expect(await json(to, 'queue', 'import', file)).toEqual({ imported: 0, known: here.size });

    const again = join(directory, 'again.export');
    await cli(to, ['queue', 'export', '--to', again]);
    const there = readExport(again);
    const held = new Map<string, Exported>();
    for (const [id, { envelope, sha256 }] of here) held.set(id, { envelope: { ...envelope, held: true }, sha256 });
    expect(there).toEqual(held);
    expect(there.get(large)?.envelope).toMatchObject({ recipients: [{ notify: [], address: 'ann@two.test' }] });

    // It is mail still: it goes when it is released.
    hop.answers = {};
    await cli(to, ['queue', 'release', large]);
    await until('the large one has arrived', () => hop.messages.some(({ body }) => body.toString('latin1').endsWith(largeBody)));
  }); // prettier-ignore

  test('by filter, to stdout, from stdin', { timeout: 60_000 }, async () => {
    const from = await start();
    await send(from, 20, '--to', 'joe@one.test');
    await send(from, 3, '--to', 'ann@two.test');
    await untilCounts(from, { deferred: 23 });
    const { stdout, stderr } = await cli(from, ['queue', 'export', '--to', '-', '--domain', 'two.test']);
    expect(stderr).toMatch(/^3 messages exported, /);
    const to = await start();
    const imported = await cli(to, ['queue', 'import', '-'], `${stdout}\n`);
    expect(imported).toMatchObject({ code: 0, stdout: '3 messages imported' });
    expect(await idsOf(to)).toEqual(await idsOf(from, 'domain=two.test'));
  });

  test('a damaged or cut export stops at the message, and nothing of it is stored', { timeout: 60_000 }, async () => {
    const from = await start();
    await send(from, 5, '--to', 'joe@one.test');
    const large = await sendOne(from, 'MAIL FROM:<a@b.test>', 'RCPT TO:<ann@two.test>', largeBody);
    await untilCounts(from, { deferred: 6 });
    const file = join(directory, 'queue.export');
    await cli(from, ['queue', 'export', '--to', file]);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const last = lines.findLastIndex((line) => line.startsWith('{"data"'));
    const to = await start();

    writeFileSync(file, `${lines.with(last, flipped(lines[last] ?? '')).join('\n')}\n`);
    const damaged = await cli(to, ['queue', 'import', file]);
    expect(damaged).toMatchObject({ code: 1, stdout: '' });
    expect(damaged.stderr).toContain(`in message ${large}: its checksum is wrong`);
    expect(damaged.stderr).toContain('Before it 5 messages were imported');
    expect((await idsOf(to)).length).toBe(5);

    writeFileSync(file, lines.slice(0, last).join('\n') + '\n');
    const cut = await cli(to, ['queue', 'import', file]);
    expect(cut).toMatchObject({ code: 1 });
    expect(cut.stderr).toContain('cut off');
    expect((await stats(to)).messages).toMatchObject({ active: 0, deferred: 5, held: 0 });

    const foreign = await cli(to, ['queue', 'import', '-'], 'From joe Mon Nov 23\nSubject: mbox\n');
    expect(foreign).toMatchObject({ code: 1 });
    expect(foreign.stderr).toContain('line 1');
    expect(await cli(to, ['queue', 'import', join(directory, 'missing')])).toMatchObject({ code: 1 });
  }); // prettier-ignore
});

/** One base64 digit of its data is another. */
function flipped(line: string): string {
  const at = '{"data":"'.length + 10;
  return line.slice(0, at) + (line[at] === 'A' ? 'B' : 'A') + line.slice(at + 1);
}
