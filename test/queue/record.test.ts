import fc from 'fast-check';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';

import {
  decodeOutline,
  decodeRecord,
  encodeRecord,
  recordVersion,
  type MessageRecord,
  type RecordOutline,
} from '../../src/queue/record.js';
import type { RouteProgress } from '../../src/queue/spool.js';
import { newRecord } from '../../src/queue/transitions.js';
import { envelope } from './harness.js';

const text = fc.string({ unit: 'grapheme', maxLength: 60 });
const time = fc.integer({ min: 0, max: 2 ** 45 });

const recordArbitrary: fc.Arbitrary<MessageRecord> = fc.record({
  reversePath: text,
  body: fc.constantFrom(undefined, '7BIT', '8BITMIME'),
  smtpUtf8: fc.boolean(),
  arrivedAtMs: time,
  listener: text,
  clientAddress: text,
  clientName: text,
  user: text,
  sessionId: text,
  ret: fc.constantFrom(undefined, 'FULL', 'HDRS'),
  envelopeId: fc.option(text, { nil: undefined }),
  isNotification: fc.boolean(),
  held: fc.boolean(),
  parked: text,
  moves: fc.nat(),
  bytes: fc.nat(),
  chunks: fc.nat(),
  crc32: fc.integer({ min: 0, max: 0xffff_ffff }),
  recipients: fc.array(
    fc.record({
      address: text,
      route: text,
      state: fc.constantFrom('pending', 'delivered', 'failed', 'bounced'),
      lastReply: text,
      notify: fc.option(fc.subarray(['SUCCESS', 'FAILURE', 'DELAY'] as const), { nil: undefined }),
      originalRecipient: fc.option(text, { nil: undefined }),
    }),
    { maxLength: 20 },
  ),
  routes: fc.array(
    fc.record({
      route: text,
      nextAttemptAtMs: time,
      attempts: fc.nat(),
      ended: fc.nat(),
      tried: fc.boolean(),
      delayNotified: fc.boolean(),
    }),
    { maxLength: 4 },
  ),
  attemptLog: fc.array(fc.record({ route: text, atMs: time, hop: text, reply: text }), { maxLength: 10 }),
});

const recordOf10 = [
  '01021200000073656e646572406578616d706c652e6f72670308000000000000000000004004080000000000000000000000',
  '050800000000008056febc784206020000006d7807090000003139322e302e322e310812000000636c69656e742e6578616d',
  '706c652e6f726709000000000a0700000053455353494f4e0b08000000000000000000f03f0c080000000000000000002440',
  '0d08000000000000000000f03f0e080000000000000000001c400f36000000010e00000061406578616d706c652e74657374',
  '02060000006f66666963650308000000000000000000f03f0406000000323530206f6b0f2f000000010e0000006240657861',
  '6d706c652e74657374020500000073746f7265030800000000000000000000000400000000103200000001060000006f6666',
  '69636502080000000080be56febc7842030800000000000000000000400408000000000000000000f03f1031000000010500',
  '000073746f7265020800000000008056febc7842030800000000000000000008400408000000000000000000000001080000',
  '00000000000000f03f34781ed5',
].join('');

function progress(route: string, change: Partial<RouteProgress>): RouteProgress {
  return {
    route,
    nextAttemptAtMs: 0,
    attempts: 1,
    ended: 0,
    tried: false,
    delayNotified: false,
    ...change,
  };
}

const sample = newRecord(envelope(), { bytes: 1000, chunks: 1, crc32: 0x1234_5678 });

function outlineOf(record: MessageRecord): RecordOutline {
  const { arrivedAtMs, held, parked, bytes, chunks, moves, routes } = record;
  return {
    arrivedAtMs,
    held,
    parked,
    bytes,
    chunks,
    moves,
    routes,
    recipients: record.recipients.map(({ route, state }) => ({ route, state })),
    attemptLog: record.attemptLog.map(({ atMs }) => ({ atMs })),
  };
}

function withChecksum(body: Buffer): Buffer {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(body));
  return Buffer.concat([body, checksum]);
}

describe('the envelope record', () => {
  it('comes back as it was stored, whatever is in it (A-089)', () => {
    fc.assert(
      fc.property(recordArbitrary, (record) => {
        expect(decodeRecord(encodeRecord(record))).toEqual(record);
      }),
      { numRuns: 300 },
    );
  });

  it('is outlined as it was stored, for the scan at a start', () => {
    fc.assert(
      fc.property(recordArbitrary, (record) => {
        expect(decodeOutline(encodeRecord(record))).toEqual(outlineOf(record));
      }),
      { numRuns: 300 },
    );
  });

  it('keeps routes apart that are alike in length, or in what is left of them as bytes', () => {
    const routes = ['abc', 'abd', 'ab', 'ü', 'Ã¼', 'abc', ''];
    const recipients = routes.map((route, i) => ({ address: `r${i}@example.test`, route }));
    const record = newRecord(envelope({ recipients }), { bytes: 1, chunks: 1, crc32: 0 });
    expect(decodeOutline(encodeRecord(record)).recipients.map(({ route }) => route)).toEqual(routes);
    expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  it('keeps a thousand recipients with long addresses, and a short record after them', () => {
    const recipients = Array.from({ length: 1000 }, (_, i) => ({
      address: `${'ü'.repeat(100)}${i}@example.test`,
      route: 'office',
    }));
    const record = newRecord(envelope({ recipients }), { bytes: 1, chunks: 1, crc32: 0 });
    expect(decodeRecord(encodeRecord(record))).toEqual(record);
    expect(decodeRecord(encodeRecord(sample))).toEqual(sample);
  });

  it('is not taken when any byte of it has changed', () => {
    const bytes = encodeRecord(sample);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      for (const decode of [decodeRecord, decodeOutline])
        expect(() => decode(damaged), `byte ${at}`).toThrow(
          expect.objectContaining({ code: 'SPOOL_CORRUPT' }),
        );
    }
  });

  it('is not taken when it is cut short anywhere', () => {
    const bytes = encodeRecord(sample);
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeRecord(bytes.subarray(0, length)), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'SPOOL_CORRUPT' }),
      );
  });

  it('never reads past its end, whatever lengths random fields claim', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const bytes = withChecksum(Buffer.concat([Buffer.from([recordVersion]), noise]));
        for (const decode of [decodeRecord, decodeOutline])
          expect(() => decode(bytes)).toThrow(expect.objectContaining({ code: 'SPOOL_CORRUPT' }));
      }),
    );
  });

  it('may have fields of a later version, which are skipped', () => {
    const bytes = encodeRecord(sample);
    const later = Buffer.from([200, 3, 0, 0, 0, 1, 2, 3]);
    expect(decodeRecord(withChecksum(Buffer.concat([bytes.subarray(0, -4), later])))).toEqual(sample);
  });

  it('of 1.0, before there was DSN and parking, is read with defaults that blame nobody (G-30)', () => {
    // Two recipients, one delivered; the route was tried twice, the other one not at all. Written by 1.0.
    expect(decodeRecord(Buffer.from(recordOf10, 'hex'))).toEqual({
      ...newRecord(envelope({ arrivedAtMs: 1_700_000_000_000 }), { bytes: 10, chunks: 1, crc32: 7 }),
      held: true,
      recipients: [
        { address: 'a@example.test', route: 'office', state: 'delivered', lastReply: '250 ok' },
        { address: 'b@example.test', route: 'store', state: 'pending', lastReply: '' },
      ],
      routes: [
        progress('office', { attempts: 2, ended: 2, tried: true, nextAttemptAtMs: 1_700_000_001_000 }),
        progress('store', { attempts: 3, ended: 2, tried: false, nextAttemptAtMs: 1_700_000_000_000 }),
      ],
    });
  });

  it('of plain mail is as long as it was in 1.0', () => {
    const plain = newRecord(envelope({ arrivedAtMs: 1_700_000_000_000 }), { bytes: 10, chunks: 1, crc32: 7 });
    expect(encodeRecord(plain).length).toBe(304);
  });

  it('of a newer version is refused by name', () => {
    const body = Buffer.from(encodeRecord(sample).subarray(0, -4));
    body[0] = recordVersion + 1;
    expect(() => decodeRecord(withChecksum(body))).toThrow(expect.objectContaining({ code: 'SPOOL_FORMAT' }));
  });
});
