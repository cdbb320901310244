/**
 * The search for the end of data: native indexOf per line (the winner, src/protocol/data-reader.ts) against a loop over
 * all bytes (the loser, kept as a test reference), on 64 KiB chunks as a socket gives them.
 */
import { describe } from 'vitest';
import { byteLoopRead } from '../../test/exhaustive/byte-loop-reader.js';
import { benchOf, built } from './bench.js';

const { DataReader } = built('protocol/data-reader.js') as typeof import('../../src/protocol/data-reader.js'); // oxlint-disable-line typescript/no-unsafe-type-assertion, typescript/consistent-type-imports -- dist is built from it

const chunkBytes = 65_536;
const line = 'The quick brown fox jumps over the lazy dog, and then some more of it.';

const bodies = {
  'text of 72-byte lines': fill(`${line}\r\n`),
  'dot-heavy: every second line is stuffed': fill(`..${line}\r\n${line}\r\n`),
  'one line without end': Buffer.alloc(chunkBytes, 'x'),
  'short lines of 12 bytes': fill('0123456789\r\n'),
} as const;

function fill(text: string): Buffer {
  return Buffer.alloc(chunkBytes, text);
}

let sum = 0;

for (const [name, chunk] of Object.entries(bodies)) {
  describe(name, () => {
    const reader = new DataReader(10_000_000);
    benchOf(
      `native search, ${name}`,
      () => {
        reader.begin();
        for (let at = 0; at < chunk.length; at = reader.position) {
          reader.scan(chunk, at);
          for (let piece = 0; piece < reader.pieceCount; piece++)
            sum += reader.pieceEnd(piece) - reader.pieceStart(piece);
        }
      },
      1,
      chunkBytes,
    );

    benchOf(
      `byte loop, ${name}`,
      () => {
        const end = byteLoopRead(chunk, addPiece, addDefect);
        if (end >= 0) throw new Error('there is no end in it');
      },
      1,
      chunkBytes,
    );
  });
}

function addPiece(start: number, end: number): void {
  sum += end - start;
}

function addDefect(at: number): void {
  sum += at;
}
