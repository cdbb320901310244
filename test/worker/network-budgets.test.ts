/** The bytes in flight of client networks, with the real queue under them. */
import { afterEach, beforeEach, expect, test } from 'vitest';

import { networkKeys } from '../../src/base/networks.js';
import { NetworkBudgets } from '../../src/worker/network-budgets.js';
import type { Tallies } from '../../src/worker/tallies.js';
import { talliesWith } from './tallies-with.js';
import { envelope, patternBytes, room, SpoolBench, until } from '../queue/harness.js';

const kib = 1024;
const limits = { bytesInFlightPerHost: 128 * kib, bytesInFlightPerNetwork: 192 * kib };
const greedy = networkKeys('192.0.2.1');

let bench: SpoolBench;
let tallies: Tallies;
let budgets: NetworkBudgets;

beforeEach(async () => {
  bench = await SpoolBench.make();
  tallies = talliesWith({ bytes: { host: 128 * kib, network: 192 * kib, account: Infinity } });
  budgets = new NetworkBudgets(limits, tallies);
});

afterEach(async () => {
  await bench.end();
});

test('A-065: a network that has its share in flight waits, its neighbours too, others do not, and all get through', async () => {
  const { spool } = await bench.open({ smallMessageBytes: 1024 * kib });
  const first = spool.begin(Date.now(), budgets.of(greedy));
  first.write(patternBytes(100 * kib));
  const second = spool.begin(Date.now(), budgets.of(greedy));
  second.write(patternBytes(20 * kib));
  expect(second.congested).toBe(true);
  const other = spool.begin(Date.now(), budgets.of(networkKeys('198.51.100.1')));
  other.write(patternBytes(50 * kib));
  const exempt = spool.begin(Date.now(), budgets.of(undefined));
  exempt.write(patternBytes(300 * kib));
  expect([other.congested, exempt.congested]).toEqual([false, false]);
  // What the network holds in memory goes to disk early: half-received messages do not block it for ever.
  await room(second);
  for (const writer of [first, second, other, exempt]) await writer.commit(envelope());
  expect(spool.stats().bytesInFlight).toBe(0);
  budgets.report();
  expect(budgets.size).toBe(0);
});

test('its sum over all workers counts: the primary’s word holds it up here, and lets it go again', async () => {
  const { spool } = await bench.open();
  const writer = spool.begin(Date.now(), budgets.of(greedy));
  writer.write(patternBytes(10 * kib));
  tallies.setOverLimit({ bytes: [greedy.neighbourhood] });
  budgets.obey();
  writer.write(patternBytes(kib));
  expect(writer.congested).toBe(true);
  const late = spool.begin(Date.now(), budgets.of(networkKeys('192.0.2.77')));
  late.write(patternBytes(kib));
  expect(late.congested).toBe(true);
  let woken = 0;
  writer.onWritable = () => woken++;
  late.onWritable = () => woken++;
  tallies.setOverLimit({ bytes: [] });
  budgets.obey();
  await until(() => woken === 2);
  await writer.commit(envelope());
  await late.commit(envelope());
});

test('it is reported in steps, and given back when nothing is in flight any more', async () => {
  const { spool } = await bench.open();
  const writer = spool.begin(Date.now(), budgets.of(greedy));
  writer.write(patternBytes(7 * kib));
  budgets.report();
  expect(tallies.takeReport()).toBeUndefined();
  writer.write(patternBytes(20 * kib));
  budgets.report();
  expect(tallies.takeReport()?.standing.bytes).toEqual({
    [greedy.host]: 24 * kib,
    [greedy.neighbourhood]: 24 * kib,
  });
  writer.abort();
  budgets.report();
  expect(tallies.takeReport()?.standing.bytes).toEqual({ [greedy.host]: 0, [greedy.neighbourhood]: 0 });
  expect(budgets.size).toBe(0);
});
