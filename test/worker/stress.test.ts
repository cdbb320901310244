import { expect, test } from 'vitest';

import { pino } from 'pino';
import { load } from '../config/harness.js';
import { Stress } from '../../src/worker/stress.js';

const { limits } = load(`
hostname: mx.test
listeners: [{ name: mx, address: 127.0.0.1, port: 0 }]
limits: { connectionsPerWorker: 100, bytesInFlight: 100MiB, stress: { commandTimeout: 7s } }
`);
const MiB = 2 ** 20;

function setUp(): { stress: Stress; lines: { event: string; msg?: string }[] } {
  const lines: { event: string; msg?: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { stress: new Stress(limits, log), lines };
}

test('stress is entered at four fifths of the connections, left below three fifths, and told once each', () => {
  const { stress, lines } = setUp();
  const active: boolean[] = [];
  for (const connections of [79, 80, 79, 60, 59, 79, 80]) {
    stress.look({ connections, bytesInFlight: 0 });
    active.push(stress.active);
  }
  expect(active).toEqual([false, true, true, true, false, false, true]);
  expect(lines.map(({ event }) => event)).toEqual(['stress.entered', 'stress.left', 'stress.entered']);
  expect(lines[0]?.msg).toMatch(/^80 % of limits\.connectionsPerWorker: /);
});

test('bytes in flight are a load as well', () => {
  const { stress, lines } = setUp();
  stress.look({ connections: 10, bytesInFlight: 85 * MiB });
  expect(stress.active).toBe(true);
  expect(lines[0]?.msg).toMatch(/^85 % of limits\.bytesInFlight: /);
});

test('only what is named under limits.stress is another limit then', () => {
  const { stress } = setUp();
  expect(stress.limits).toBe(limits);
  stress.look({ connections: 100, bytesInFlight: 0 });
  expect(stress.limits).toEqual({
    ...limits,
    errors: 1,
    junkCommands: 1,
    commandTimeoutMs: 7_000,
    dataTimeoutMs: 60_000,
    tlsHandshakeTimeoutMs: 10_000,
  });
});
