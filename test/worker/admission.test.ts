import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/worker/admission.js';
import type { Tallies } from '../../src/worker/tallies.js';
import { talliesWith } from './tallies-with.js';

let tallies: Tallies;

function admission(over: Partial<ConstructorParameters<typeof Admission>[0]> = {}): Admission {
  tallies = talliesWith({
    connections: { host: 2, network: 3, account: Infinity },
    connects: { host: 4, network: 6, account: Infinity },
  });
  return new Admission({ exempt: [], connectionsPerWorker: 100, ...over }, tallies);
}

describe('admission', () => {
  test('the third connection of one host is refused, and one that leaves makes room', () => {
    const door = admission();
    const first = door.enter('192.0.2.1');
    door.enter('192.0.2.1');
    expect(door.enter('192.0.2.1')).toEqual({ refusal: 'host-limit' });
    if ('ticket' in first) door.leave(first.ticket);
    expect(door.enter('192.0.2.1')).toHaveProperty('ticket');
  });

  test('hosts of one /24 share a limit', () => {
    const door = admission();
    for (const last of [1, 2, 3]) door.enter(`192.0.2.${last}`);
    expect(door.enter('192.0.2.4')).toEqual({ refusal: 'network-limit' });
    expect(door.enter('192.0.3.4')).toHaveProperty('ticket');
  });

  test('one IPv6 customer is one /64, however many addresses it uses (A-053)', () => {
    const door = admission();
    door.enter('2001:db8:1:2::1');
    door.enter('2001:db8:1:2:ffff::2');
    expect(door.enter('2001:db8:1:2::3')).toEqual({ refusal: 'host-limit' });
  });

  test('limits.exempt is free from the counts per network, not from the worker’s own bound', () => {
    const door = admission({ exempt: ['127.0.0.0/8'], connectionsPerWorker: 4 });
    for (let i = 0; i < 4; i++) expect(door.enter('127.0.0.1')).toHaveProperty('ticket');
    expect(door.enter('127.0.0.1')).toEqual({ refusal: 'worker-limit' });
    expect(tallies.takeReport()).toBeUndefined();
  });

  test('a network that the primary names is refused although this worker has none of its connections', () => {
    const door = admission();
    tallies.setOverLimit({ connections: ['192.0.2.9'] });
    expect(door.enter('192.0.2.9')).toEqual({ refusal: 'host-limit' });
    tallies.setOverLimit({ connects: ['198.51.100.0/24'] });
    expect(door.enter('192.0.2.9')).toEqual({ refusal: 'host-limit' });
    expect(door.enter('198.51.100.7')).toEqual({ refusal: 'network-rate' });
    tallies.setOverLimit({ connections: [] });
    expect(door.enter('192.0.2.9')).toHaveProperty('ticket');
  });

  test('A-053: one client gets in so often between two reports and no more; what is refused does not count', () => {
    const door = admission();
    for (let n = 0; n < 4; n++) {
      const entry = door.enter('192.0.2.1');
      if ('ticket' in entry) door.leave(entry.ticket);
    }
    expect(door.enter('192.0.2.1')).toEqual({ refusal: 'host-rate' });
    expect(tallies.takeReport()?.events).toEqual({ connects: { '192.0.2.1': 4, '192.0.2.0/24': 4 } });
  });

  test('changes are reported once, with 0 for what is gone', () => {
    const door = admission();
    const entry = door.enter('192.0.2.1');
    const once = { '192.0.2.1': 1, '192.0.2.0/24': 1 };
    expect(tallies.takeReport()).toEqual({ standing: { connections: once }, events: { connects: once } });
    expect(tallies.takeReport()).toBeUndefined();
    if ('ticket' in entry) door.leave(entry.ticket);
    expect(tallies.takeReport()).toEqual({
      standing: { connections: { '192.0.2.1': 0, '192.0.2.0/24': 0 } },
      events: {},
    });
    expect(door.open).toBe(0);
  });

  test('what nothing limits is not counted', () => {
    admission();
    tallies.count('messages', '192.0.2.1');
    expect(tallies.takeReport()).toBeUndefined();
  });
});
