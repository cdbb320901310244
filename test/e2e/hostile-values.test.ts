/**
 * What clients say of themselves ends up in log lines and replies, and must not become a second line, a control sequence
 * on somebody's terminal or a series of its own in Prometheus (A-067, A-080, A-084, A-087, A-088).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { addUser } from '../../src/pool/users-file.js';
import { Random, seedOfRun } from '../support/random.js';
import { startPostern, testCertificate, type RunningPostern } from '../support/postern.js';
import { SmtpClient } from '../support/smtp-client.js';

const values = 100_000;
const perSession = 2_000;
// Each costs a password's hash.
const loginNames = 25;
const seed = seedOfRun('HOSTILE_SEED');

// Control characters of C0 and C1, and what breaks lines or turns the direction of text.
// oxlint-disable-next-line no-control-regex -- these are exactly what must not be there
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

let directory = '';
let postern: RunningPostern | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-hostile-values-'));
});

afterEach(async () => {
  await postern?.dispose();
  postern = undefined;
  rmSync(directory, { recursive: true, force: true });
});

/** As octets: what a client may put anywhere. */
const pieces = [
  '\u0000', '\u0001', '\u0007', '\u001b[2J', '\u001b]0;x\u0007', '\u007f', '\u0085', '\u009b31m', '\r', '\n', '\t', ' ',
  '\u00e2\u0080\u00a8' /* U+2028 */, '\u00e2\u0080\u00ae' /* U+202E */, '\u00c0\u00af', '\u00ed\u00a0\u0080',
  '"', '\\', '{', '}', ',', '%s', '${x}', '__proto__', 'constructor', '</script>', "'", ';', '(', ')', '<', '>', '@',
  'a', 'Z', '0', '.', '-', 'example.test', '250 ok', '\u00ff',
] as const; // prettier-ignore

function hostileValue(random: Random): string {
  const count = random.between(1, 12);
  const text = Array.from({ length: count }, () => random.pick(pieces)).join('');
  return random.chance(0.01) ? text.repeat(40) : text;
}

const transaction = 'RSET\r\nMAIL FROM:<a@client.test> SMTPUTF8\r\n';

/** Where a value may stand, behind what has to come before it to be looked at. */
const forms: readonly ((value: string) => string)[] = [
  (value) => `${transaction}EHLO ${value}`,
  (value) => `${transaction}VRFY ${value}`,
  (value) => `RSET\r\nMAIL FROM:<${value}>`,
  (value) => `RSET\r\nMAIL FROM:<a@client.test> ${value}=${value}`,
  (value) => `RSET\r\nAUTH ${value}`,
  (value) => `${transaction}RCPT TO:<"${value}"@elsewhere.test> ORCPT=${value}`,
  (value) => `${transaction}${value} x`,
  (value) => `${transaction}RCPT TO:<${value}@elsewhere.test>`,
];

function hostileCommand(random: Random): string {
  return random.pick(forms)(hostileValue(random).replaceAll('\r\n', '\r'));
}

/** Each way to be answered that a value has, the seldom ones too: what counts them is there from then on. */
const everyAnswer = [
  ...['x', '', ' ', '[1.2.3]'].map((name) => `RSET\r\nEHLO ${name}`),
  ...['x', '', '\0'].map((name) => `RSET\r\nVRFY ${name}`),
  ...['a@x.test', '', 'a', '\xc3\xa9@x.test', '\xff@x.test'].map((path) => `RSET\r\nMAIL FROM:<${path}>`),
  ...['X=1', 'SIZE=x', 'SIZE=99999999999'].map((parameter) => `RSET\r\nMAIL FROM:<a@x.test> ${parameter}`),
  ...['x', '', 'PLAIN =', '\0'].map((mechanism) => `RSET\r\nAUTH ${mechanism}`),
  ...['a@elsewhere.test', '', 'a', '\xff@x.test', 'a@example.test', 'a%b@example.test'].map(
    (path) => `${transaction}RCPT TO:<${path}>`,
  ),
  `${transaction}RCPT TO:<a@elsewhere.test> X=1`,
  `${transaction}RCPT TO:<a@elsewhere.test> ORCPT=x`,
  ...['x', 'EXPN', 'HELP', 'NOOP', 'x'.repeat(3000), 'DATA x', 'RSET x', 'ETRN x'].map(
    (line) => `${transaction}${line}`,
  ),
];

/** One session that says them all, and the replies it got, as octets. */
async function say(client: SmtpClient, commands: readonly string[]): Promise<string> {
  let replies = '';
  client.raw.on('data', (chunk: Buffer) => (replies += chunk.toString('latin1')));
  for (const command of commands) client.write(Buffer.from(`${command}\r\n`, 'latin1'));
  client.write('QUIT\r\n');
  await client.ended();
  client.destroy();
  return replies;
}

/** Logs in under each name, and never with a right password. */
async function logIn(client: SmtpClient, names: readonly string[]): Promise<string> {
  let replies = '';
  for (const name of names) {
    const response = Buffer.from(`\0${name}\0guess`, 'latin1').toString('base64');
    replies += `${await client.command(`AUTH PLAIN ${response}`)}\r\n`;
  }
  client.destroy();
  return replies;
}

/** Their names and labels; without those of 454, which a machine that is too busy for a password's hash brings about. */
async function seriesOf(running: RunningPostern): Promise<string[]> {
  const text = await (await fetch(`${running.adminUrl}/metrics`)).text();
  const lines = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !line.includes('code="454"'));
  return lines.map((line) => line.slice(0, line.lastIndexOf(' '))).toSorted();
}

test('A-067 A-080 A-084 A-087 A-088: of 100 000 hostile values every log line is JSON without a control byte, no reply carries one, and the number of series stands', async () => {
  const random = new Random(seed);
  const users = join(directory, 'users.yaml');
  await addUser(users, 'alice', 'tiger');
  let lines = 0;
  const unprintableLines: string[] = [];
  const running = await startPostern({
    onLine: (line) => {
      lines += 1;
      if (unprintable.test(line)) unprintableLines.push(line);
    },
    config: {
      workers: 1,
      log: { level: 'debug' },
      tls: testCertificate,
      auth: { users: { file: users } },
      listeners: [
        { name: 'mx', tls: 'off' },
        { name: 'submission', role: 'submission', tls: 'required', route: 'disk' },
      ],
      limits: {
        authFailures: 1_000,
        errors: 1_000_000,
        errorDelay: '0',
        junkCommands: 1_000_000,
        transactions: 1_000_000,
      },
      policy: { unauthorizedPipelining: 'tolerate' },
    },
  });
  postern = running;
  const open = () => SmtpClient.greeted(running.ports['mx'] ?? 0);
  const openToLogIn = async () => {
    const client = await SmtpClient.greeted(running.ports['submission'] ?? 0);
    await client.startTls();
    await client.command('EHLO client.test');
    return client;
  };
  await say(await open(), everyAnswer);
  await say(await openToLogIn(), everyAnswer);
  await logIn(await openToLogIn(), ['nobody', '', 'a\xff']);
  const seriesBefore = await seriesOf(running);
  let replies = '';
  for (let said = 0; said < values; said += perSession) {
    const commands = Array.from({ length: perSession }, () => hostileCommand(random));
    replies += await say(await (said % (4 * perSession) === 0 ? openToLogIn() : open()), commands);
  }
  const names = Array.from({ length: loginNames }, () => hostileValue(random));
  replies += await logIn(await openToLogIn(), names);
  expect(await seriesOf(running), `seed ${seed}`).toEqual(seriesBefore);
  // No session ended early: a reply to RSET and one to what follows, for each.
  expect(replies.match(/^\d{3} /gm)?.length).toBeGreaterThan(2 * values);
  await running.stop();

  // Lines that are not JSON are kept apart by startPostern.
  expect(running.output(), `seed ${seed}`).toBe('');
  expect(unprintableLines.slice(0, 5), `seed ${seed}`).toEqual([]);
  expect(lines).toBeGreaterThan(values / 10);
  // oxlint-disable-next-line no-control-regex -- these are exactly what must not be there
  expect(
    replies.split('\r\n').filter((line) => !/^(?:[2-5]\d\d[ -][\x20-\x7e]{0,506})?$/.test(line)),
  ).toEqual([]);
}, 120_000);
