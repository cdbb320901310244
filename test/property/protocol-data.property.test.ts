/** Long bodies in random chunks: what comes out is what was meant, whatever the cuts. attacks.md A-010 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DataReader } from '../../src/protocol/data-reader.js';
import { askBits } from '../../src/protocol/types.js';
import { byteLoopRead } from '../exhaustive/byte-loop-reader.js';
import { limits, options, Peer } from '../protocol/harness.js';

// Bodies here are all header as often as not.
const roomy = { ...options, limits: { ...limits, headerBytes: 10_000_000, receivedHops: 100_000 } };
const asking = { ...roomy, ask: { mask: askBits.HEADER_END } };

/** Lines as mail has them, and as it should not: dots in front, empty, long, eight-bit. */
const line = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.string({
      unit: fc.constantFrom('a', '.', ' ', '\t', '\x80', '\xff', '\x01', ':'),
      maxLength: 100,
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom('', '.', '..', '...', '. ', '.a', 'Received: x') },
  { weight: 1, arbitrary: fc.integer({ min: 900, max: 3000 }).map((length) => 'x'.repeat(length)) },
);
const lines = fc.array(line, { maxLength: 40 });
/** The same in bulk: more pieces than one scan holds, more bytes than one window. */
const manyLines = fc
  .tuple(lines, fc.integer({ min: 1, max: 60 }))
  .map(([some, times]) => Array.from({ length: times }, () => some).flat());
const cuts = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 30 });

function stuff(body: readonly string[]): string {
  return body.map((text) => `${text.startsWith('.') ? '.' : ''}${text}\r\n`).join('');
}

function* pieces(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const runs = { numRuns: 150 };

test.each([
  ['', roomy],
  [", asking at the header's end", asking],
])('a body keeps its bytes through stuffing and any chunking%s (C-056 C-057)', (_, sessionOptions) => {
  fc.assert(
    fc.property(fc.oneof(lines, manyLines), cuts, (body, sizes) => {
      fc.pre(!/^[ \t]/.test(body[0] ?? ''));
      const peer = new Peer(sessionOptions, { answers: 'later', chunkBytes: 0 }).start();
      peer.send('EHLO t\r\nMAIL FROM:<a@x.test> BODY=8BITMIME\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n').codes();
      for (const piece of pieces(Buffer.from(`${stuff(body)}.\r\nNOOP\r\n`, 'latin1'), sizes))
        peer.send(piece);
      expect(peer.codes()).toEqual(['250 2.0.0', '250 2.0.0']);
      expect(
        peer.queued[0]?.body.equals(Buffer.from(body.map((text) => `${text}\r\n`).join(''), 'latin1')),
      ).toBe(true);
    }),
    runs,
  );
});

test('one bad byte in any line: refused at the true end, in step, in any chunking', () => {
  fc.assert(
    fc.property(manyLines, cuts, fc.nat(), fc.constantFrom('\r', '\n', '\0'), (body, sizes, place, bad) => {
      const at = place % (body.length + 1);
      const worse = ['Subject: t', ...body.slice(0, at), `x${bad}x`, ...body.slice(at)];
      const peer = new Peer(roomy)
        .start()
        .send('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n');
      peer.codes();
      for (const piece of pieces(Buffer.from(`${stuff(worse)}.\r\nNOOP\r\n`, 'latin1'), sizes))
        peer.send(piece);
      expect(peer.codes()).toEqual(['550 5.6.0', '250 2.0.0']);
      expect(peer.queued).toEqual([]);
      expect(peer.abandoned).toEqual([bad === '\0' ? 'nul' : 'bare-newline']);
    }),
    runs,
  );
});

/** Chunks of a few bytes out of the dangerous five, long enough for windows and piece lists to fill. */
const wild = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom('\r\n', '\r\n.', '\r\n..', 'a', 'a.') },
      { weight: 1, arbitrary: fc.constantFrom('\r', '\n', '\0', '.') },
    ),
    { maxLength: 3000 },
  )
  .map((parts) => `${parts.join('')}\r\n.\r\n`);

test('wild bodies: the reader, in any chunking, against the loop over all bytes', () => {
  fc.assert(
    fc.property(wild, cuts, (text, sizes) => {
      const bytes = Buffer.from(text, 'latin1');
      let body = '';
      let firstDefect = -1;
      const end = byteLoopRead(
        bytes,
        (start, stop) => (body += bytes.toString('latin1', start, stop)),
        (at) => (firstDefect = firstDefect < 0 ? at : firstDefect),
      );
      const found = readAll(bytes, sizes);
      expect(found.end).toBe(end);
      expect(found.defective).toBe(firstDefect >= 0);
      if (firstDefect < 0) expect(found.body).toBe(body);
    }),
    { numRuns: 400 },
  );
});

function readAll(bytes: Buffer, sizes: readonly number[]): { end: number; defective: boolean; body: string } {
  const reader = new DataReader(1_000_000);
  reader.begin();
  let body = '';
  let before = 0;
  for (const chunk of pieces(bytes, sizes)) {
    for (let at = 0; at < chunk.length; at = reader.position) {
      const event = reader.scan(chunk, at);
      for (let piece = 0; piece < reader.pieceCount; piece++)
        body += chunk.toString('latin1', reader.pieceStart(piece), reader.pieceEnd(piece));
      if (event === 'end')
        return { end: before + reader.position, defective: reader.defect !== undefined, body };
    }
    before += chunk.length;
  }
  return { end: -1, defective: reader.defect !== undefined, body };
}
