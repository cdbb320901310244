/** Paths of MAIL and RCPT as they come, against the regular expression that one would write instead (with its copies). */
import { describe } from 'vitest';
import { benchOf, built } from './bench.js';

const { PathParser } = built('protocol/path-parser.js') as typeof import('../../src/protocol/path-parser.js'); // oxlint-disable-line typescript/no-unsafe-type-assertion, typescript/consistent-type-imports -- dist is built from it

const paths = {
  'a mailbox': '<recipient.name@mail.example.com>',
  'a bounce address': '<bounces+1234567-abcd-recipient=example.com@em.sender.example.net>',
  quoted: '<"recipient name"@example.com>',
  'source route': '<@relay.example.org,@other.example.net:recipient@example.com>',
  'UTF-8': '<δοκιμή@παράδειγμα.example>',
  'hostile: 500 hops': `<${'@a,'.repeat(500)}@a:b@c>`,
} as const;

const times = 500;
const plain = /^<([A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]{1,64})@([A-Za-z0-9.-]{1,255})>/;

let sum = 0;

for (const [name, text] of Object.entries(paths)) {
  const bytes = Buffer.from(text, 'utf8');
  describe(name, () => {
    const parser = new PathParser();
    benchOf(
      `one pass over bytes, ${name}`,
      () => {
        for (let n = 0; n < times; n++) {
          if (parser.parse(bytes, 0, bytes.length, 'forward') === undefined)
            sum += parser.mailbox.domain.length;
        }
      },
      times,
      times * bytes.length,
    );

    if (name !== 'a mailbox') return;
    benchOf(
      `regular expression, ${name}`,
      () => {
        for (let n = 0; n < times; n++) {
          const match = plain.exec(bytes.toString('latin1'));
          if (match !== null) sum += (match[2] ?? '').toLowerCase().length;
        }
      },
      times,
      times * bytes.length,
    );
  });
}
