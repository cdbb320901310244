import { tmpdir } from 'node:os';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { askBits } from '../../src/protocol/types.js';
import { RoomMonitor } from '../../src/worker/room-monitor.js';

function monitor(
  over: {
    reserveBytes?: number;
    directory?: string;
    inFlight?: () => number;
    giveBackSpace?: () => void;
  } = {},
): RoomMonitor {
  return new RoomMonitor(
    {
      directory: over.directory ?? tmpdir(),
      reserveBytes: over.reserveBytes ?? 0,
      bytesInFlight: 100,
      bytesInFlightNow: over.inFlight ?? (() => 0),
      giveBackSpace: over.giveBackSpace ?? (() => undefined),
    },
    pino({ level: 'silent' }),
  );
}

test('with room on the disk nobody is asked about MAIL', async () => {
  const room = monitor();
  await room.look();
  expect(room.ask.mask).toBe(0);
});

test('below the reserve MAIL is asked about, and the queue is asked for its space', async () => {
  let asked = 0;
  const room = monitor({ reserveBytes: Number.MAX_SAFE_INTEGER, giveBackSpace: () => (asked += 1) });
  await room.look();
  expect(asked).toBe(1);
  expect(room.ask.mask).toBe(askBits.MAIL);
  expect(room.diskShort).toBe(true);
});

test('a file system that cannot be asked counts as full', async () => {
  const room = monitor({ directory: '/nonexistent/nowhere', reserveBytes: 1 });
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
