/** What a stored message costs on its way out: framed for DATA (dots looked for, content-data.ts) and for BDAT. */
import { describe } from 'vitest';
import { benchOf, built } from './bench.js';

const { DataFraming } = built('relay/content-data.js') as typeof import('../../src/relay/content-data.js'); // oxlint-disable-line typescript/no-unsafe-type-assertion, typescript/consistent-type-imports -- dist is built from it
const { BdatFraming } = built('relay/content-bdat.js') as typeof import('../../src/relay/content-bdat.js'); // oxlint-disable-line typescript/no-unsafe-type-assertion, typescript/consistent-type-imports -- dist is built from it

const texts = {
  'lines of 72 bytes': `${'x'.repeat(70)}\r\n`,
  'a dot at every line of 20 bytes': `.${'x'.repeat(17)}\r\n`,
} as const;

const chunksOfMessage = 16;
let sum = 0;

for (const [name, line] of Object.entries(texts)) {
  const chunk = Buffer.from(line.repeat(Math.floor(65_520 / line.length)));
  const bytes = chunk.length * chunksOfMessage;
  const frame = (framing: { frame(chunk: Buffer): Buffer; tail(): Buffer }): void => {
    for (let i = 0; i < chunksOfMessage; i++) sum += framing.frame(chunk).length;
    sum += framing.tail().length;
  };
  describe(name, () => {
    benchOf(`DATA, ${name}`, () => frame(new DataFraming()), chunksOfMessage, bytes);
    benchOf(`BDAT, ${name}`, () => frame(new BdatFraming(bytes)), chunksOfMessage, bytes);
  });
}
