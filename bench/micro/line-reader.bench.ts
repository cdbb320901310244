/** Command lines out of a pipelined chunk: native search (src/protocol/line-reader.ts, the winner) against a byte loop. */
import { describe } from 'vitest';
import { byteLoopLine } from '../../test/exhaustive/byte-loop-line.js';
import { benchOf, built } from './bench.js';

const { LineReader } = built('protocol/line-reader.js') as typeof import('../../src/protocol/line-reader.js'); // oxlint-disable-line typescript/no-unsafe-type-assertion, typescript/consistent-type-imports -- dist is built from it

const pipelines = {
  'short commands': 'NOOP\r\nRSET\r\n',
  'RCPTs of 40 bytes': 'RCPT TO:<recipient.name@example.com>\r\n',
  'long parameters, 150 bytes': `MAIL FROM:<sender@example.com> ${'X'.repeat(117)}\r\n`,
} as const;

let sum = 0;

for (const [name, text] of Object.entries(pipelines)) {
  const chunk = Buffer.from(text.repeat(Math.floor(16_384 / text.length)));
  const lines = chunk.toString('latin1').split('\r\n').length - 1;
  describe(name, () => {
    const reader = new LineReader(2048);
    benchOf(
      `native search, ${name}`,
      () => {
        for (let at = 0; at < chunk.length; at = reader.position) {
          reader.next(chunk, at, false);
          sum += reader.end - reader.start;
        }
      },
      lines,
      chunk.length,
    );

    benchOf(
      `byte loop, ${name}`,
      () => {
        for (let at = 0; at < chunk.length;) {
          const after = byteLoopLine(chunk, at);
          sum += after - at;
          at = after;
        }
      },
      lines,
      chunk.length,
    );

    benchOf(
      `dripped byte by byte, ${name}`,
      () => {
        for (let at = 0; at < 2048; at++) reader.next(chunk.subarray(at, at + 1), 0, false);
      },
      2048,
      2048,
    );
  });
}
