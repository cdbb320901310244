/**
 * A start over a full queue (G-17) that two workers left: mail is accepted before the scan of what is queued has ended,
 * and then all of it is back in schedule. How late the event loop of a worker was at worst meanwhile is recorded.
 * CI takes 20 000 messages, `npm run faults` the goal's 100 000.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';

import type { Status } from '../../src/base/messages.js';
import { freePort } from '../support/ports.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { run } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';
import { record, sized } from './results.js';

const queued = sized('FAULTS_QUEUED', 20_000);
let postern: RunningPostern | undefined;
let directory = '';

afterEach(async () => {
  await postern?.dispose();
  postern = undefined;
  rmSync(directory, { recursive: true, force: true });
});

test('G-17: a start over thousands of queued messages: mail is accepted at once, and all of them are back in schedule', async () => {
  directory = mkdtempSync(join(tmpdir(), 'postern-restart-'));
  const dataDir = join(directory, 'data');
  mkdirSync(dataDir);
  for (const slot of [0, 1]) {
    const fill = resolve(import.meta.dirname, 'children/fill.mjs');
    const { stdout } = await run(process.execPath, [
      fill,
      join(dataDir, 'queue'),
      String(slot),
      String(queued / 2),
    ]);
    expect(stdout).toContain('filled');
  }
  const startedAtMs = Date.now();
  const running = await startPostern({
    waitUntilReady: false,
    config: {
      dataDir,
      domains: [{ names: ['example.test'], recipients: 'any', route: 'office' }],
      // Nobody listens there: what is queued stays.
      routes: { office: { to: `smtp://127.0.0.1:${await freePort()}`, tls: 'off', retry: { first: '1h' } } },
    },
  });
  postern = running;
  await until('it accepts mail', async () => {
    const client = await SmtpClient.greeted(running.smtpPort).catch(() => undefined);
    const reply = await client?.send('Subject: early\r\n\r\nx').catch(() => '');
    client?.destroy();
    return reply?.startsWith('250');
  });
  const acceptsMs = Date.now() - startedAtMs;
  // The log says when, and costs the workers nothing meanwhile, which asking them again and again would.
  const adopted = await until('both workers have read their files', () => adoptions(running.log), 60_000);
  const scheduledMs = Math.max(...adopted.map(({ time }) => Date.parse(time))) - startedAtMs;
  expect(adopted.reduce((sum, { messages }) => sum + messages, 0)).toBe(queued);
  const lagMs = Math.round(1000 * (await worstLag(running)));
  record('restart', {
    ids: ['G-17'],
    summary: `${queued} queued messages: first 250 ${acceptsMs} ms after the start of the primary, all back in schedule after ${scheduledMs} ms (both with the start of the processes); event loop of a worker late by ${lagMs} ms (99th percentile)`,
    seed: 0,
    figures: { queued, acceptsMs, scheduledMs, lagMs },
  });
  // With the one that was accepted.
  expect(await messagesOf(running)).toBe(queued + 1);
}, 240_000);

/** `queue.adopted` of both workers, once they are there. */
function adoptions(log: RunningPostern['log']): { time: string; messages: number }[] | undefined {
  const lines = log.filter(({ event }) => event === 'queue.adopted');
  if (lines.length < 2) return undefined;
  return lines.map(({ time, messages }) => ({ time: String(time), messages: Number(messages) }));
}

async function messagesOf(running: RunningPostern): Promise<number> {
  const { queue } = (await (await running.api('/api/v1/status')).json()) as Status;
  return Object.values(queue.messages).reduce((sum, count) => sum + count, 0);
}

async function worstLag(running: RunningPostern): Promise<number> {
  const lags = [0, 1].map((worker) =>
    running.metric('postern_event_loop_lag_seconds', { worker: String(worker) }),
  );
  return Math.max(...(await Promise.all(lags)));
}
