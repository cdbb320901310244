/** From real senders through Postern to real next hops: nothing lost, nothing twice, no byte changed. */
import { readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dotStuff } from '../../src/cli/smtp-dialogue.js';
import { compareRecords, runLoad, startSink } from '../support/load.js';
import { peerPath, skipReason, startDovecotLmtp, startSmtpSink } from '../support/peers.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

let directory = '';
const opened: { stop: () => Promise<unknown> }[] = [];
let postern: RunningPostern | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-relay-'));
});

afterEach(async () => {
  await postern?.dispose();
  postern = undefined;
  for (const peer of opened.splice(0)) await peer.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function posternTo(hop: string): Promise<RunningPostern> {
  postern = await startPostern({ config: { routes: { disk: { to: hop, tls: 'off' } } } });
  return postern;
}

async function queueIsEmpty(of: RunningPostern, timeoutMs: number): Promise<void> {
  await until('the queue is empty', async () => (await of.metric('postern_queue_messages')) === 0, timeoutMs);
}

describe.skipIf(skipReason('smtp-source', 'smtp-sink'))('smtp-source → Postern → smtp-sink', () => {
  test('20 000 messages of 4 KiB, none lost and none twice', { timeout: 300_000 }, async () => {
    const messages = 20_000;
    const dump = join(directory, 'dump');
    const sink = await startSmtpSink(['-D', dump]);
    opened.push(sink);
    const running = await posternTo(`smtp://127.0.0.1:${sink.port}`);
    // -N: a number in front of each recipient, which makes every message one of a kind.
    const args = ['-s', '20', '-m', String(messages), '-l', '4096', '-d', '-N', '-f', 's@client.test', '-t', 'to@example.test']; // prettier-ignore
    const source = await run(peerPath('smtp-source'), [...args, `127.0.0.1:${running.smtpPort}`]);
    // It gives up at the first reply that is not the expected one: every message was answered with 250.
    expect(source).toMatchObject({ code: 0, stderr: '' });
    await queueIsEmpty(running, 200_000);
    await sink.stop();
    const recipients = readFileSync(dump, 'latin1').match(/^X-Rcpt-Args: .*$/gm) ?? [];
    expect(recipients.length).toBe(messages);
    expect(new Set(recipients).size).toBe(messages);
  });
});

test('the same bytes arrive: 2000 messages by sha256', { timeout: 300_000 }, async () => {
  const [sent, received] = [join(directory, 'sent'), join(directory, 'received')];
  const sink = await startSink(['--record', received]);
  opened.push(sink);
  const running = await posternTo(`smtp://127.0.0.1:${sink.port}`);
  const args = ['--record', sent, '--sessions', '20'];
  const plain = await runLoad(running.smtpPort, ['--messages', '1900', ...args]);
  const dotted = await runLoad(running.smtpPort, [
    '--messages',
    '100',
    '--dot-heavy',
    '--size',
    '100000',
    ...args,
  ]);
  expect(plain.counts.acked + dotted.counts.acked).toBe(2000);
  await queueIsEmpty(running, 120_000);
  await sink.stop();
  expect(await compareRecords(sent, received)).toEqual({
    acked: 2000,
    received: 2000,
    lost: [],
    changed: [],
    doubled: [],
    unasked: [],
  });
});

describe.skipIf(skipReason('dovecot'))('Postern → Dovecot LMTP', () => {
  const bodies: readonly (readonly [string, string])[] = [
    ['dots, alone and doubled', '.\r\n..\r\n.a\r\n...\r\n'],
    ['an empty body', ''],
    ['empty lines at the end', 'x\r\n\r\n\r\n'],
    ['8-bit bytes', Buffer.from(Array.from({ length: 128 }, (_, i) => i + 128)).toString('latin1') + '\r\n'],
    ['a line of 20 000 characters', `${'x'.repeat(20_000)}\r\n`],
    ['tabs and trailing blanks', '\tx  \r\n  \r\n\t\r\n'],
    ['a line that looks like mbox', 'From here on\r\n>From\r\n'],
    ['2 MiB', 'All work and no play makes Jack a dull boy.\r\n'.repeat(45_000)],
  ];

  test(
    'what Dovecot stored is byte for byte what was sent, below the trace fields',
    { timeout: 90_000 },
    async () => {
      const dovecot = await startDovecotLmtp();
      opened.push(dovecot);
      const running = await posternTo(`lmtp://127.0.0.1:${dovecot.port}`);
      const client = await SmtpClient.greeted(running.smtpPort);
      const sent = bodies.map(([name, body]) => `Subject: ${name}\r\nX-Folded: a\r\n\tb\r\n\r\n${body}`);
      for (const message of sent) {
        await client.command('MAIL FROM:<a@client.test> BODY=8BITMIME');
        await client.command('RCPT TO:<joe@example.test>');
        expect(await client.command('DATA')).toMatch(/^354/);
        client.write(dotStuff(Buffer.from(message, 'latin1')));
        expect(await client.reply()).toMatch(/^250 2\.0\.0 Ok: queued as /);
      }
      client.destroy();
      await queueIsEmpty(running, 120_000);
      const stored = dovecot.messages('joe').map((message) => withoutTrace(message.toString('latin1')));
      expect(stored.map(({ trace }) => trace)).toEqual(
        stored.map(() => ['Return-Path', 'Delivered-To', 'Received', 'Received']),
      );
      expect(stored.map(({ rest }) => rest.replaceAll('\n', '\r\n')).sort()).toEqual(sent.sort());
    },
  );
});

/** Splits off the fields on top that mail servers add. @param stored with LF line ends */
function withoutTrace(stored: string): { trace: string[]; rest: string } {
  const trace: string[] = [];
  let rest = stored;
  for (;;) {
    const field = /^(Return-Path|Delivered-To|Received):.*\n(?:[ \t].*\n)*/.exec(rest);
    if (field?.[1] === undefined) return { trace, rest };
    trace.push(field[1]);
    rest = rest.slice(field[0].length);
  }
}
