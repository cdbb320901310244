import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import { askBits } from '../../src/protocol/types.js';
import type { MessageState } from '../../src/queue/spool.js';
import { RoomMonitor } from '../../src/worker/room-monitor.js';

interface Over {
  readonly diskReserve?: number;
  readonly bytesInFlight?: number;
  readonly directory?: string;
  readonly workers?: number;
  readonly inFlight?: () => number;
  readonly bytes?: () => number;
  readonly messages?: () => Partial<Record<MessageState, number>>;
  readonly giveBackSpace?: () => void;
  readonly lines?: string[];
}

const none = { active: 0, deferred: 0, held: 0, parked: 0, failed: 0 };

function monitor(over: Over = {}): RoomMonitor {
  const limits = {
    diskReserve: over.diskReserve ?? 0,
    bytesInFlight: over.bytesInFlight ?? 100,
    queueMessages: 10,
    queueBytes: 4096,
  };
  const spool = {
    stats: () => ({
      messages: { ...none, ...over.messages?.() },
      bytes: over.bytes?.() ?? 0,
      bytesInFlight: over.inFlight?.() ?? 0,
    }),
    giveBackSpace: over.giveBackSpace ?? (() => undefined),
  };
  const log = pino({ level: 'info', base: null }, { write: (line) => over.lines?.push(line) });
  return new RoomMonitor(
    { dataDir: over.directory ?? tmpdir(), workers: over.workers ?? 1, limits },
    spool,
    log,
  );
}

test('with room on the disk nobody is asked about MAIL', async () => {
  const room = monitor();
  await room.look();
  expect(room.ask.mask).toBe(0);
});

test('below the reserve MAIL is asked about, and the queue is asked for its space', async () => {
  let asked = 0;
  const room = monitor({ diskReserve: Number.MAX_SAFE_INTEGER, giveBackSpace: () => (asked += 1) });
  await room.look();
  expect(asked).toBe(1);
  expect(room.ask.mask).toBe(askBits.MAIL);
  expect(room.diskShort).toBe(true);
});

test('what came in since the last look counts against the reserve, also for the other workers', async () => {
  const { bavail, bsize } = await statfs(tmpdir());
  const margin = 2 ** 30;
  const room = monitor({ diskReserve: bavail * bsize - margin, workers: 2 });
  await room.look();
  expect(room.ask.mask).toBe(0);
  room.took(margin);
  expect(room.ask.mask).toBe(askBits.MAIL);
  expect(room.refusing).toContain('limits.diskReserve');
  // The look that this began: nothing has been written, so there is room as before.
  await vi.waitFor(() => expect(room.ask.mask).toBe(0));
});

test('what is received and not yet on the disk counts too', async () => {
  const { bavail, bsize } = await statfs(tmpdir());
  const margin = 2 ** 30;
  const room = monitor({
    diskReserve: bavail * bsize - margin,
    inFlight: () => 2 * margin,
    bytesInFlight: Infinity,
  });
  await room.look();
  expect([room.ask.mask, room.diskShort]).toEqual([askBits.MAIL, false]);
});

test('a file system that cannot be asked counts as full', async () => {
  const room = monitor({ directory: '/nonexistent/nowhere', diskReserve: 1 });
  await room.look();
  expect(room.diskShort).toBe(true);
});

test('bytes in flight over the budget close the door, and open it again', () => {
  let bytes = 101;
  const room = monitor({ inFlight: () => bytes });
  room.update();
  expect(room.ask.mask).toBe(askBits.MAIL);
  bytes = 100;
  room.update();
  expect(room.ask.mask).toBe(0);
});

test('a failed queue closes it for good', async () => {
  const room = monitor();
  room.closeForGood();
  await room.look();
  expect(room.ask.mask).toBe(askBits.MAIL);
});

test.each<[string, Partial<Over>, string]>([
  [
    'messages of every state',
    { messages: () => ({ active: 2, deferred: 2, held: 2, parked: 2, failed: 2 }) },
    'MAIL gets 452: limits.queueMessages is reached (10 in the queue)',
  ],
  ['bytes', { bytes: () => 4096 }, 'MAIL gets 452: limits.queueBytes is reached (4KiB in the queue)'],
  [
    'an even share of the messages, rounded up',
    { workers: 4, messages: () => ({ active: 3 }) },
    'MAIL gets 452: limits.queueMessages is reached (3 in the queue; the share of a worker is 1/4)',
  ],
  [
    'an even share of the bytes',
    { workers: 4, bytes: () => 1024 },
    'MAIL gets 452: limits.queueBytes is reached (1KiB in the queue; the share of a worker is 1/4)',
  ],
  [
    'a share of less than one message, which is one',
    { workers: 64, messages: () => ({ held: 1 }) },
    'MAIL gets 452: limits.queueMessages is reached (1 in the queue; the share of a worker is 1/64)',
  ],
])('F-22: a full queue closes the door: %s', (_, over, refusing) => {
  const room = monitor(over);
  room.update();
  expect(room.ask.mask).toBe(askBits.MAIL);
  expect(room.refusing).toBe(refusing);
});

test.each<[string, Partial<Over>]>([
  ['one message less', { messages: () => ({ active: 9 }) }],
  ['one byte less', { bytes: () => 4095 }],
  ['one message less than the share', { workers: 4, messages: () => ({ active: 2 }) }],
  ['an empty queue and more workers than messages', { workers: 64 }],
])('%s leaves it open', (_, over) => {
  const room = monitor(over);
  room.update();
  expect(room.ask.mask).toBe(0);
  expect(room.refusing).toBe('');
});

test('a full queue is told once, and once that it has room again', async () => {
  const lines: string[] = [];
  let held = 10;
  const room = monitor({ lines, messages: () => ({ held }) });
  for (held of [10, 11, 10]) await room.look();
  held = 9;
  room.update();
  expect(room.ask.mask).toBe(0);
  await room.look();
  await room.look();
  const events = lines.map((line) => /"event":"([^"]*)"/.exec(line)?.[1]);
  expect(events).toEqual(['queue.full', 'queue.room']);
});

test('F-06: a commit that found the disk full closes it until there is room', () => {
  const room = monitor();
  room.diskFull(true);
  expect(room.ask.mask).toBe(askBits.MAIL);
  expect(room.refusing).toBe('MAIL gets 452: the disk is full');
  room.diskFull(false);
  expect(room.ask.mask).toBe(0);
});
