/** Recipients that are held in memory: what all transactions together may have. */
import { afterEach, expect, test } from 'vitest';

import { EnvelopeRoom } from '../../src/worker/envelope-room.js';
import { until } from '../support/processes.js';
import { recordingLog } from '../support/recording-log.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

let running: TestWorker | undefined;

afterEach(async () => {
  await running?.close();
  running = undefined;
});

test('C-039 A-062: when all transactions have too many, each may have a hundred, until there are clearly fewer', () => {
  const journal = recordingLog();
  const room = new EnvelopeRoom(1_000, journal.log, 10_000);
  const after = (held: number): number => {
    room.look(held);
    return room.recipients;
  };
  expect([9_999, 10_000, 6_000, 5_999].map(after)).toEqual([1_000, 100, 100, 1_000]);
  expect(journal.events()).toEqual(['envelopes.crowded', 'envelopes.room']);
});

test('A-062: at twice as many nobody adds any, until there are clearly fewer', () => {
  const journal = recordingLog();
  const room = new EnvelopeRoom(1_000, journal.log, 10_000);
  const after = (held: number): number => {
    room.look(held);
    return room.recipients;
  };
  expect([19_999, 20_000, 12_000, 11_999, 5_999].map(after)).toEqual([100, 0, 0, 100, 1_000]);
  expect(journal.events()).toEqual([
    'envelopes.crowded',
    'envelopes.full',
    'envelopes.crowded',
    'envelopes.room',
  ]);
});

test('a limit that is no higher than what any server must take stays until all is full', () => {
  const room = new EnvelopeRoom(50, recordingLog().log, 10);
  room.look(19);
  expect(room.recipients).toBe(50);
  room.look(20);
  expect(room.recipients).toBe(0);
});

/** @returns the codes of so many RCPT */
async function rcpt(client: SmtpClient, count: number): Promise<string[]> {
  client.write('RCPT TO:<b@ok.test>\r\n'.repeat(count));
  const codes: string[] = [];
  while (codes.length < count) codes.push((await client.reply()).slice(0, 9));
  return codes;
}

test('C-040 A-062: in a worker that holds many recipients a transaction gets a hundred, and 452 for the rest', async () => {
  const journal = recordingLog();
  running = await startWorker({ maxRecipientsHeld: 300, log: journal.log });
  const holder = await SmtpClient.greeted(running.port);
  await holder.command('MAIL FROM:<a@x.test>');
  expect(new Set(await rcpt(holder, 300))).toEqual(new Set(['250 2.1.5']));
  await until('it is noticed', () => journal.events().includes('envelopes.crowded'));
  const other = await SmtpClient.greeted(running.port);
  await other.command('MAIL FROM:<a@x.test>');
  const codes = await rcpt(other, 101);
  expect(new Set(codes.slice(0, 100))).toEqual(new Set(['250 2.1.5']));
  expect(codes[100]).toBe('452 4.5.3');
  expect(await other.command('DATA')).toMatch(/^354/);
  holder.destroy();
  await until('there is room again', () => journal.events().includes('envelopes.room'));
  other.destroy();
});
