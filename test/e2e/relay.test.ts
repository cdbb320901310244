/** From real senders through Postern to real next hops: nothing lost, nothing twice, no byte changed. */
import { readFileSync, rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compareRecords, runLoad, startSink } from '../support/load.js';
import { peerPath, skipReason, startSmtpSink } from '../support/peers.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';

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
  // smtp-source gives up at the 421 that ends a session after `limits.transactions`.
  const config = { limits: { transactions: 1_000_000 }, routes: { disk: { to: hop, tls: 'off' } } };
  postern = await startPostern({ config });
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
