/** Any bytes, in any chunks: the session never throws, answers the same, and keeps to what replies are. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limits, options, Peer, type Manner } from '../protocol/harness.js';

const generous = {
  ...options,
  secure: true,
  mechanisms: ['PLAIN', 'LOGIN'] as const,
  limits: { ...limits, errors: 10_000, junkCommands: 10_000, authFailures: 10_000 },
};

const fragment = fc.oneof(
  fc.constantFrom(
    'EHLO t',
    'HELO t',
    'MAIL FROM:<a@x.test>',
    'MAIL FROM:<>',
    'MAIL FROM:<é@x.test> SMTPUTF8',
    'RCPT TO:<b@ok.test>',
    'RCPT TO:<b@no.test>',
    'DATA',
    'RSET',
    'NOOP',
    'VRFY x',
    'HELP',
    'EXPN',
    'AUTH PLAIN AHUAcA==',
    'AUTH LOGIN',
    'dQ==',
    'cA==',
    '*',
    '.',
    '..',
    '',
    'Subject: t',
    'MAIL FROM:<a@x.test> SIZE=5',
    'RCPT TO:<"a b"@ok.test>',
    'MAIL FROM:<a@x.test> RET=FULL ENVID=a+2Bb SMTPUTF8',
    'RCPT TO:<b@ok.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@x.test',
    'RCPT TO:<b@ok.test> ORCPT=utf-8;\\x{E9}é@x.test NOTIFY=NEVER',
    ' ORCPT=utf-8;',
    'Received: from x by mx.test;',
    '\0',
    '\r',
    '\n',
    '\r\n',
  ),
  fc.string({
    unit: fc.constantFrom('\r', '\n', '.', '<', '>', '@', '"', '\\', ' ', ':', '=', 'A', '\x80', '\0'),
    maxLength: 20,
  }),
);
const dialogue = fc
  .array(fc.tuple(fragment, fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '', '\n')), { maxLength: 60 })
  .map((parts) => parts.flat().join(''));

function talk(text: string, manner: Manner): object {
  const peer = new Peer(generous, manner).start();
  peer.send('EHLO t\r\n').send(Buffer.from(text, 'utf8'));
  return {
    replies: peer.replies.map(({ reply }) => reply.name),
    queued: peer.queued.map(({ from, to, body }) => ({ from, to, body: body.toString('latin1') })),
    abandoned: peer.abandoned,
    closed: peer.closed,
  };
}

test('bytes one at a time say the same however the answers come (A-010)', () => {
  fc.assert(
    fc.property(dialogue, (text) => {
      expect(talk(text, { answers: 'later', chunkBytes: 1 })).toEqual(
        talk(text, { answers: 'at once', chunkBytes: 1 }),
      );
    }),
    { numRuns: 300 },
  );
});

test('no bytes and no chunking make the session throw or speak after its end', () => {
  fc.assert(
    fc.property(
      dialogue,
      fc.integer({ min: 0, max: 50 }),
      fc.constantFrom('at once' as const, 'later' as const),
      (text, chunkBytes, answers) => {
        talk(text, { answers, chunkBytes });
      },
    ),
    { numRuns: 500 },
  );
});

test('a session that is not cut off is in step: QUIT is answered by 221, or ends data that a dot can end', () => {
  fc.assert(
    fc.property(dialogue, fc.integer({ min: 1, max: 50 }), (text, chunkBytes) => {
      const peer = new Peer(generous, { answers: 'later', chunkBytes }).start();
      peer.send('EHLO t\r\n').send(Buffer.from(text, 'utf8'));
      if (peer.closed !== undefined) return;
      peer.send('\r\n');
      if (peer.closed === undefined && peer.session.inData) peer.send('.\r\n');
      if (peer.closed === undefined && peer.session.deadline === 'auth') peer.send('*\r\n');
      if (peer.closed !== undefined) return;
      peer.send('QUIT\r\n');
      expect(peer.codes().at(-1)).toBe('221 2.0.0');
      expect(peer.closed).toBe('quit');
    }),
    { numRuns: 500 },
  );
});
