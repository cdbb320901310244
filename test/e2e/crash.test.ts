/**
 * Crashes under load, judged by the oracle of the fault list (§4.2): every message whose 250 the client read reaches
 * the sink with the same sha256; nothing arrives that was not sent or was refused. F-01, F-02, C-053.
 */
import { afterEach, expect, test } from 'vitest';
import { OracleLoad } from '../support/oracle-load.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { RecordingSink } from '../support/recording-sink.js';
import { SmtpClient } from '../support/smtp-client.js';

const kills = 10;
let postern: RunningPostern | undefined;
let sink: RecordingSink | undefined;

afterEach(async () => {
  await postern?.dispose();
  await sink?.close();
  postern = undefined;
  sink = undefined;
});

function relayTo(port: number) {
  return {
    routes: { disk: { to: `smtp://127.0.0.1:${port}`, tls: 'off', retry: { first: '1s', max: '2s' } } },
  } as const;
}

async function allArrived(load: OracleLoad, at: RecordingSink): Promise<void> {
  await until(
    'every acknowledged message is at the sink',
    () => {
      const delivered = at.byId();
      return [...load.acked.keys()].every((id) => delivered.has(id));
    },
    90_000,
  );
}

function expectNothingInvented(load: OracleLoad, at: RecordingSink): void {
  for (const [id, copies] of at.byId()) {
    for (const copy of copies) expect(copy.sha256, id).toBe(load.attempted.get(id));
    expect(load.refused.has(id), `${id} was refused and yet delivered`).toBe(false);
  }
}

test('F-01 F-02 C-053: kill -9 of random workers, then of everything, loses no acknowledged message', async () => {
  sink = await RecordingSink.open();
  postern = await startPostern({ config: relayTo(sink.port) });
  const load = new OracleLoad({
    port: postern.smtpPort,
    clients: 12,
    messageBytes: 3000,
    maxMessages: 100_000,
    label: 'a',
  });
  const expected = postern.workerPids().length;
  for (let kill = 0; kill < kills; kill++) {
    const ackedBefore = load.acked.size;
    await until('mail flows again', () => load.acked.size >= ackedBefore + 50, 30_000);
    const pids = postern.workerPids();
    const victim = pids[kill % pids.length];
    if (victim === undefined) throw new Error('no worker');
    process.kill(victim, 'SIGKILL');
    const running = postern;
    await until('the slot has a worker again', () => {
      const now = running.workerPids();
      return now.length === expected && !now.includes(victim);
    });
  }
  const status = (await (await postern.api('/api/v1/status')).json()) as { workers: { slot: number }[] };
  expect(status.workers.map((worker) => worker.slot).toSorted()).toEqual([0, 1]);

  const before = load.acked.size;
  await until('mail flows before the last blow', () => load.acked.size >= before + 50, 30_000);
  await postern.killAll();
  await load.stop();
  postern = await startPostern({ again: postern });
  await allArrived(load, sink);
  expectNothingInvented(load, sink);
  expect(load.acked.size).toBeGreaterThan(50 * kills);
}, 240_000);

test('F-01: sessions of other workers never notice a worker’s death', async () => {
  sink = await RecordingSink.open();
  postern = await startPostern({ config: relayTo(sink.port) });
  const clients = await Promise.all(
    Array.from({ length: 24 }, () => SmtpClient.greeted(postern?.smtpPort ?? 0)),
  );
  const [victim] = postern.workerPids();
  if (victim === undefined) throw new Error('no worker');
  process.kill(victim, 'SIGKILL');
  // The kernel spreads connections: the dead worker's are gone, all others still answer.
  const answers = await Promise.all(
    clients.map((client) =>
      client.command('NOOP').then(
        (reply) => reply.startsWith('250'),
        () => false,
      ),
    ),
  );
  const alive = clients.filter((_, index) => answers[index]);
  expect(alive.length).toBeGreaterThan(0);
  for (const client of alive)
    expect(await client.send('Subject: x\r\n\r\nstill here')).toMatch(/^250 2\.0\.0/);
  for (const client of clients) client.destroy();
}, 60_000);
