/**
 * What clients say of themselves ends up in log lines and replies, and must not become a second line, a control sequence
 * on somebody's terminal or a series of its own in Prometheus.
 */
import { afterEach, expect, test } from 'vitest';

import { Random, seedOfRun } from '../support/random.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { SmtpClient } from '../support/smtp-client.js';

const values = 100_000;
const perSession = 2_000;
const seed = seedOfRun('HOSTILE_SEED');

// Control characters of C0 and C1, and what breaks lines or turns the direction of text.
// oxlint-disable-next-line no-control-regex -- these are exactly what must not be there
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/;

let postern: RunningPostern | undefined;

afterEach(async () => {
  await postern?.dispose();
  postern = undefined;
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

function hostileCommand(random: Random): string {
  const value = hostileValue(random);
  const form = random.between(0, 7);
  if (form === 0) return `EHLO ${value}`;
  if (form === 1) return `VRFY ${value}`;
  if (form === 2) return `MAIL FROM:<${value}>`;
  if (form === 3) return `MAIL FROM:<a@client.test> ${value}=${value}`;
  if (form === 4) return `RCPT TO:<"${value}"@elsewhere.test> ORCPT=${value}`;
  if (form === 5) return `${value} x`;
  return `RCPT TO:<${value}@elsewhere.test>`;
}

/** One session that says them all, and the replies it got, as octets. */
async function say(port: number, commands: readonly string[]): Promise<string> {
  const client = await SmtpClient.greeted(port);
  client.raw.on('error', () => undefined);
  let replies = '';
  client.raw.on('data', (chunk: Buffer) => (replies += chunk.toString('latin1')));
  for (const command of commands)
    client.write(
      Buffer.from(
        `RSET\r\nMAIL FROM:<a@client.test> SMTPUTF8\r\n${command.replaceAll('\r\n', '\r')}\r\n`,
        'latin1',
      ),
    );
  client.write('QUIT\r\n');
  await client.ended();
  client.destroy();
  return replies;
}

async function seriesOf(running: RunningPostern): Promise<number> {
  const text = await (await fetch(`${running.adminUrl}/metrics`)).text();
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
}

test('A-067 A-080 A-084 A-087 A-088: of 100 000 hostile values every log line is JSON without a control byte, no reply carries one, and the number of series stands', async () => {
  const random = new Random(seed);
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
      limits: {
        errors: 1_000_000,
        errorDelay: '0',
        junkCommands: 1_000_000,
        transactions: 1_000_000,
      },
      policy: { unauthorizedPipelining: 'tolerate' },
    },
  });
  postern = running;
  const session = () => Array.from({ length: perSession }, () => hostileCommand(random));
  // From here on all but the rarest ways to be refused have been counted once.
  await say(running.smtpPort, session());
  const seriesBefore = await seriesOf(running);
  let replies = '';
  for (let said = 0; said < values; said += perSession) replies += await say(running.smtpPort, session());
  expect((await seriesOf(running)) - seriesBefore).toBeLessThan(20);
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
