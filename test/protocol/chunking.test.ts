/** BDAT beside DATA: the same message by both, in every split, is the same message. */
import { describe, expect, test } from 'vitest';
import { replies } from '../../src/protocol/replies.js';
import { askBits, type SessionOptions, type Verdict } from '../../src/protocol/types.js';
import { matrix, show } from '../support/smuggling-vectors.js';
import { describeManner, limits, manners, options, Peer, policy } from './harness.js';

const generous: SessionOptions = {
  ...options,
  limits: { ...limits, errors: 1_000_000, junkCommands: 1_000_000 },
};
const refused: Verdict = { ok: false, reply: replies.refused };
const envelope = 'MAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\n';

function peerOf(sessionOptions: SessionOptions, manner = manners[0]): Peer {
  const peer = new Peer(sessionOptions, manner).start().send('EHLO t\r\n');
  peer.codes();
  return peer;
}

/** What became of it: the body that was queued, or the last reply. */
function byData(peer: Peer, text: string): string {
  peer.send(`${envelope}DATA\r\n`);
  peer.send(`${text.replaceAll(/(?<=^|\r\n)\./g, '..')}.\r\n`);
  return outcomeOf(peer);
}

function byBdat(peer: Peer, chunks: readonly string[]): string {
  const commands = chunks.map(
    (chunk, at) => `BDAT ${chunk.length}${at === chunks.length - 1 ? ' LAST' : ''}\r\n${chunk}`,
  );
  peer.send(`${envelope}${commands.join('')}`);
  expect(peer.replies.length, 'one reply a command').toBe(2 + chunks.length);
  return outcomeOf(peer);
}

function outcomeOf(peer: Peer): string {
  const refusals = peer.codes().filter((code) => code.startsWith('5') && !code.startsWith('503'));
  const [message] = peer.queued.splice(0);
  return message === undefined ? refusals.join() : `queued ${message.body.toString('latin1')}`;
}

const parts = ['\r\n', '.', '\r', '\n', 'a', '\0'] as const;

function bodies(): string[] {
  let texts = [''];
  for (let length = 0; length < 4; length++)
    texts = [...new Set(texts.flatMap((text) => ['', ...parts].map((part) => part + text)))];
  return texts.map((text) => `${text}\r\n`);
}

describe.each(['reject', 'normalize'] as const)('bare newlines: %s', (bareNewlines) => {
  test('C-095 A-009 A-011: any body by DATA, by one BDAT and by BDAT in every two chunks has one end', () => {
    const peer = peerOf({ ...generous, bareNewlines });
    let compared = 0;
    for (const text of bodies()) {
      // By DATA this end is doubtful, by BDAT there is no doubt.
      if (text.endsWith('\r\r\n')) continue;
      const expected = byData(peer, text);
      for (let edge = 0; edge <= text.length; edge++) {
        const chunks = edge === 0 ? [text] : [text.slice(0, edge), text.slice(edge)];
        const found = byBdat(peer, chunks);
        if (found !== expected) expect({ text, chunks, found }).toEqual({ text, chunks, found: expected });
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(5000);
  });
});

describe.each(manners.map((manner) => [describeManner(manner), manner] as const))('%s', (_, manner) => {
  test.each(matrix)(
    'A-009: $pre . $post in a chunk ends nothing: refused, or the one message it is in',
    ({ pre, post }) => {
      const smuggled = `${pre}.${post}MAIL FROM:<evil@x.test>\r\nRCPT TO:<v@ok.test>\r\nDATA\r\nsmug\r\n.\r\n`;
      const text = `Subject: t\r\n\r\nbody${smuggled}`;
      const peer = peerOf(generous, manner);
      peer.send(`${envelope}BDAT ${text.length} LAST\r\n${text}NOOP\r\n`);
      const codes = peer.codes();
      expect(codes, show(pre)).toHaveLength(4);
      expect(codes.at(-1)).toBe('250 2.0.0');
      const canonical = text.replaceAll('\r\n', '').search(/[\r\n\0]/) < 0;
      expect(codes[2]).toBe(canonical ? '250 2.0.0' : '550 5.6.0');
      expect(peer.queued.map(({ body }) => body.toString('latin1'))).toEqual(canonical ? [text] : []);
    },
  );

  test('C-096: header-end is asked inside a chunk, and its refusal is that chunk’s reply', () => {
    const asking = { ...generous, ask: { mask: askBits.HEADER_END } };
    const peer = new Peer(asking, manner, (question) =>
      question.kind === 'header-end' ? refused : policy(question),
    )
      .start()
      .send(`EHLO t\r\n${envelope}BDAT 7\r\nSubjectBDAT 7\r\n: x\r\n\r\nBDAT 2 LAST\r\nhiNOOP\r\n`);
    expect(peer.codes().slice(4)).toEqual(['250 2.0.0', '550 5.7.1', '503 5.5.1', '250 2.0.0']);
    expect(peer.abandoned).toEqual(['refused']);
  });

  test.each([
    ['inside a chunk', ['x: y\r\n\r\nbody']],
    ['at the end of a chunk', ['x: y\r\n\r\n', 'body']],
    ['between two chunks', ['x: y\r\n\r', '\nbody']],
    ['at the end of the message', ['x: y\r\n\r\n']],
    ['of a message without one', ['x: y\r\n']],
    ['of an empty message', ['']],
  ])('the header’s end, %s, is asked about once, then the message’s', (_where, chunks) => {
    const peer = peerOf({ ...generous, ask: { mask: askBits.HEADER_END } }, manner);
    expect(byBdat(peer, chunks)).toBe(`queued ${chunks.join('')}`);
    expect(peer.questions.map(({ kind }) => kind)).toEqual(['recipient', 'header-end', 'message-end']);
  });

  test('a BDAT that was asked about and refused is read all the same (C-096)', () => {
    const peer = new Peer({ ...generous, ask: { mask: askBits.BDAT } }, manner, (question) =>
      question.kind === 'verb' ? refused : policy(question),
    )
      .start()
      .send(`EHLO t\r\n${envelope}BDAT 6\r\nQUIT\r\nNOOP\r\n`);
    expect(peer.codes().slice(4)).toEqual(['550 5.7.1', '250 2.0.0']);
  });

  test('C-096: no message comes of the chunks around one that was refused', () => {
    let asked = 0;
    const peer = new Peer({ ...generous, ask: { mask: askBits.BDAT } }, manner, (question) =>
      question.kind === 'verb' && ++asked === 2 ? refused : policy(question),
    )
      .start()
      .send(`EHLO t\r\n${envelope}BDAT 6\r\na: b\r\nBDAT 6\r\nc: d\r\nBDAT 6 LAST\r\ne: f\r\nNOOP\r\n`);
    expect(peer.codes().slice(4)).toEqual(['250 2.0.0', '550 5.7.1', '503 5.5.1', '250 2.0.0']);
    expect(peer.abandoned).toEqual(['cut']);
    expect(peer.queued).toEqual([]);
  });

  test('C-096 C-026: a BDAT that is refused for good has its reply before the end', () => {
    const closing: Verdict = { ok: false, reply: replies.refused, close: true };
    const peer = new Peer({ ...generous, ask: { mask: askBits.BDAT } }, manner, (question) =>
      question.kind === 'verb' ? closing : policy(question),
    )
      .start()
      .send(`EHLO t\r\n${envelope}BDAT 6\r\nQUIT\r\nNOOP\r\n`);
    expect(peer.codes().slice(4)).toEqual(['550 5.7.1']);
    expect(peer.closed).toBe('refused');
  });

  test('A-072: of a chunk that announces too much no octet is stored, though what comes of it would fit', () => {
    const peer = peerOf({ ...generous, limits: { ...generous.limits, messageBytes: 100 } }, manner);
    peer.send(`${envelope}BDAT 6\r\na: b\r\nBDAT 95 LAST\r\n`);
    expect(peer.abandoned).toEqual(['too-large']);
    peer.send(`${'x'.repeat(93)}\r\n`);
    expect(peer.codes().slice(2)).toEqual(['250 2.0.0', '552 5.3.4']);
  });

  test('C-028 C-096: after a greeting of 554 the octets of BDAT are dropped, and only QUIT is left', () => {
    const peer = new Peer({ ...generous, ask: { mask: askBits.CONNECT } }, manner, (question) =>
      question.kind === 'connect' ? { ok: false, reply: replies.noService } : policy(question),
    )
      .start()
      .send('BDAT 6\r\nQUIT\r\nBDAT 0\r\nEHLO t\r\nMAIL FROM:<a@x.test>\r\nQUIT\r\n');
    expect(peer.codes()).toEqual(['554 5.7.1', ...Array.from({ length: 4 }, () => '503 5.5.1'), '221 2.0.0']);
  });
});
