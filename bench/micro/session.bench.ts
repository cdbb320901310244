/** A whole message through a session, questions answered at once: what the protocol costs of each message. */
import { describe } from 'vitest';
import type { SessionOptions, SessionSink } from '../../src/protocol/types.js';
import { options as testOptions } from '../../test/protocol/harness.js';
import { benchOf, built } from './bench.js';

/* oxlint-disable typescript/no-unsafe-type-assertion, typescript/consistent-type-imports -- dist is built from it */
const { Session } = built('protocol/session.js') as typeof import('../../src/protocol/session.js');
const { queuedAs } = built('protocol/replies.js') as typeof import('../../src/protocol/replies.js');
/* oxlint-enable typescript/no-unsafe-type-assertion, typescript/consistent-type-imports */

const options: SessionOptions = {
  ...testOptions,
  // As a listener has them; a bench is one session without end.
  limits: { ...testOptions.limits, softErrors: 5, transactions: Infinity },
  refuseUnauthorizedPipelining: true,
};

const accepted = { ok: true, reply: queuedAs('000000000000000000'), route: 'r' } as const;
const line = 'The quick brown fox jumps over the lazy dog, and then some more of it.';
const envelope = Buffer.from(
  'MAIL FROM:<sender@example.com> SIZE=4096\r\nRCPT TO:<recipient@example.org>\r\n',
);

let sum = 0;

for (const [name, bytes] of [
  ['4 KiB', 4096],
  ['64 KiB', 65_536],
] as const) {
  const body = Buffer.from(
    `Received: from a by b; c\r\nFrom: a@example.com\r\nSubject: x\r\n\r\n${`${line}\r\n`.repeat(Math.floor(bytes / 72))}`,
  );
  const data = [
    Buffer.concat([envelope, Buffer.from('DATA\r\n')]),
    Buffer.concat([body, Buffer.from('.\r\n')]),
  ];
  const bdat = [Buffer.concat([envelope, Buffer.from(`BDAT ${body.length} LAST\r\n`), body])];
  describe(name, () => {
    for (const [way, chunks] of [
      ['DATA', data],
      ['BDAT', bdat],
    ] as const) {
      const session = new Session(options);
      const sink: SessionSink = {
        reply: (reply) => (sum += reply.bytes.length),
        messageBegin: () => undefined,
        body: (slice) => (sum += slice.length),
        messageAbandon: () => undefined,
        ask: () => session.answer(accepted, sink),
        upgrade: () => undefined,
        close: (reason) => {
          throw new Error(reason);
        },
      };
      session.start(sink);
      session.feed(Buffer.from('EHLO client.example.com\r\n'), sink);
      benchOf(
        `message by ${way}, ${name}`,
        () => {
          for (let n = 0; n < 10; n++) for (const chunk of chunks) session.feed(chunk, sink);
        },
        10,
        10 * body.length,
      );
    }
  });
}
