import { spawnSync } from 'node:child_process';

import { prometheusContentType } from 'prom-client';
import { describe, expect, it } from 'vitest';

import { MetricsAggregate } from '../../src/metrics/aggregate.js';
import { catalogue, workerMetrics } from '../../src/metrics/catalogue.js';
import { expositionContentType, renderExposition } from '../../src/metrics/exposition.js';
import { createMeters } from '../../src/metrics/worker-meters.js';
import { seriesOf } from '../support/exposition.js';
import { peerPath, skipReason } from '../support/peers.js';

const facts = {
  workersMissing: 0,
  workerRestarts: 0,
  quarantinedFiles: 0,
  workersReady: 1,
  diskFreeBytes: 5e9,
  diskReserveBytes: 1e9,
};

async function fullExposition(): Promise<string> {
  const meters = createMeters({ listeners: ['mx'], routes: ['office'], dnsblLists: ['bl.test'], mechanisms: ['PLAIN'] });
  meters.commandsTotal.of('EHLO', '250').value++;
  meters.rejectionsTotal.of('RCPT', 'relayDenied', '550', '5.7.1').value++;
  meters.connectionsRefusedTotal.of('mx', 'worker-limit').value++;
  meters.sessionsCutTotal.of('timeout').value++;
  meters.stageSeconds.of('commit').observe(0.0123456789);
  const aggregate = new MetricsAggregate('1.2.3');
  aggregate.update('a', meters.snapshot());
  return aggregate.exposition(facts);
} // prettier-ignore

describe('the exposition', () => {
  it("has prom-client's content type", () => {
    expect(expositionContentType).toBe(prometheusContentType);
  });

  it('has HELP and TYPE of every metric of the catalogue, once each, in its order', async () => {
    const text = await fullExposition();
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
    expect(types).toEqual(catalogue.map((row) => `${row.name} ${row.type}`));
    expect([...text.matchAll(/^# HELP /gm)]).toHaveLength(catalogue.length);
  });

  it('ends in a newline and every line is a comment, empty, or one sample', async () => {
    const text = await fullExposition();
    expect(text.endsWith('\n')).toBe(true);
    const strange = text.split('\n').filter((line) => !/^(|# (HELP|TYPE) .+|[a-z_]+(\{[^}]*\})? [-+0-9.eInf]+)$/.test(line));
    expect(strange).toEqual([]);
  }); // prettier-ignore

  it('prints no series twice', async () => {
    const text = await fullExposition();
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(seriesOf(text).size).toBe(samples.length);
  });

  it('escapes what a label must not carry, should it ever get there (A-087)', async () => {
    const row = workerMetrics.connectionsTotal;
    const text = await renderExposition([{ row, samples: [{ labels: ['a"b\nc\\d}'], value: 1 }] }]);
    expect(text).toContain('{listener="a\\"b\\nc\\\\d}"} 1');
  });

  it.skipIf(skipReason('promtool'))('promtool check metrics has nothing to say', async () => {
    const input = await fullExposition();
    const result = spawnSync(peerPath('promtool'), ['check', 'metrics'], { input, encoding: 'utf8' });
    expect(result.stdout + result.stderr).toBe('');
    expect(result.status).toBe(0);
  });
});
