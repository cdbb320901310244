/**
 * A start over a full queue (G-17): mail is accepted before the scan of what is queued has ended, and then all of it is
 * back in schedule. CI takes 20 000 messages, `npm run faults` the goal's 100 000.
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
  const { stdout } = await run(process.execPath, [
    resolve(import.meta.dirname, 'children/fill.mjs'),
    join(dataDir, 'queue'),
    String(queued),
  ]);
  expect(stdout).toContain('filled');
  const running = await startPostern({
    waitUntilReady: false,
    config: {
      dataDir,
      log: { level: 'warn' },
      domains: [{ names: ['example.test'], recipients: 'any', route: 'office' }],
      // Nobody listens there: what is queued stays.
      routes: { office: { to: `smtp://127.0.0.1:${await freePort()}`, tls: 'off', retry: { first: '1h' } } },
    },
  });
  postern = running;
  const startedAtMs = performance.now();
  await until('it accepts mail', async () => {
    const client = await SmtpClient.greeted(running.smtpPort).catch(() => undefined);
    const reply = await client?.send('Subject: early\r\n\r\nx').catch(() => '');
    client?.destroy();
    return reply?.startsWith('250');
  });
  const acceptsMs = performance.now() - startedAtMs;
  // With the one that was just accepted.
  await until('all are in schedule', async () => (await messagesOf(running)) > queued, 60_000);
  const scheduledMs = performance.now() - startedAtMs;
  record('restart', {
    ids: ['G-17'],
    summary: `${queued} queued messages: first 250 ${Math.round(acceptsMs)} ms after the start of the primary, all back in schedule after ${Math.round(scheduledMs)} ms (both with the start of the processes)`,
    seed: 0,
    figures: { queued, acceptsMs, scheduledMs },
  });
  expect(await messagesOf(running)).toBe(queued + 1);
}, 240_000);

async function messagesOf(running: RunningPostern): Promise<number> {
  const { queue } = (await (await running.api('/api/v1/status')).json()) as Status;
  return Object.values(queue.messages).reduce((sum, count) => sum + count, 0);
}
