/** SMTP smuggling: nothing but CR LF . CR LF ends a message, and nothing that tries is queued. attacks.md §3.1 */
import { describe, expect, test } from 'vitest';
import type { SessionOptions } from '../../src/protocol/types.js';
import { DotStuffer } from '../../src/relay/dot-stuffer.js';
import { isLegalLine, matrix, named, show } from '../support/smuggling-vectors.js';
import { describeManner, manners, options, Peer, type Manner } from './harness.js';

const envelope = 'EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n';
const smuggled = 'MAIL FROM:<evil@x.test>\r\nRCPT TO:<v@ok.test>\r\nDATA\r\nsmug\r\n';
const end = '\r\n.\r\n';

function inData(manner: Manner): Peer {
  const peer = new Peer(undefined, manner).start().send(envelope);
  expect(peer.codes().at(-1)).toBe('354');
  return peer;
}

describe.each(manners.map((manner) => [describeManner(manner), manner] as const))('%s', (_, manner) => {
  test.each(matrix)(
    'A-001 (i): the message does not end at $pre . $post; what follows its true end are commands',
    ({ pre, post }) => {
      const peer = inData(manner).send(`Subject: t\r\n\r\nbody${pre}.${post}${smuggled}.\r\n`);
      if (isLegalLine(pre, post)) {
        expect(peer.codes()).toEqual(['250 2.0.0']);
        expect(peer.queued).toHaveLength(1);
        return;
      }
      expect(peer.queued).toEqual([]);
      if (pre === '\r\r\n' && post === '\r\n') {
        // It does end here, by the letter of RFC 5321: the message is refused, and the session takes no other.
        expect(peer.codes()).toEqual(['550 5.6.0', '421 4.7.0']);
        return;
      }
      expect(peer.codes()).toEqual(['550 5.6.0']);
      expect(peer.send(end).codes(), 'an empty line and a dot').toEqual(['500 5.5.2', '500 5.5.2']);
      expect(peer.send('NOOP\r\n').codes()).toEqual(['250 2.0.0']);
      expect(peer.queued).toEqual([]);
    },
  );

  test.each(matrix)(
    'A-001 (ii): with its own end stuffed, $pre . $post is one message and one reply',
    ({ pre, post }) => {
      const peer = inData(manner).send(`Subject: t\r\n\r\nbody${pre}.${post}${smuggled}..\r\n${end}`);
      if (isLegalLine(pre, post)) {
        expect(peer.codes()).toEqual(['250 2.0.0']);
        expect(peer.queued[0]?.body.toString('latin1')).toContain(`body\r\n${post}MAIL FROM`);
        return;
      }
      expect(peer.queued).toEqual([]);
      if (pre === '\r\r\n' && post === '\r\n') {
        expect(peer.codes()).toEqual(['550 5.6.0', '421 4.7.0']);
        return;
      }
      expect(peer.codes()).toEqual(['550 5.6.0']);
      expect(peer.send('NOOP\r\n').codes()).toEqual(['250 2.0.0']);
    },
  );

  test.each(named.map((vector) => [show(vector), vector] as const))(
    'A-002: %s is no end: 550 at the true one, in step',
    (_, vector) => {
      const peer = inData(manner).send(`Subject: t\r\n\r\nbody${vector}more${end}NOOP\r\n`);
      expect(peer.codes()).toEqual(['550 5.6.0', '250 2.0.0']);
      expect(peer.queued).toEqual([]);
    },
  );

  test.each(named.map((vector) => [show(vector), vector] as const))(
    'A-002: %s right before the true end',
    (_, vector) => {
      const peer = inData(manner).send(`Subject: t\r\n\r\nbody${vector}${end}NOOP\r\n`);
      expect(peer.codes()).toEqual(['550 5.6.0', '250 2.0.0']);
      expect(peer.queued).toEqual([]);
    },
  );

  test.each(named.map((vector) => [show(vector), vector] as const))(
    'A-003: %s as the first bytes, and behind the header',
    (_, vector) => {
      const peer = inData(manner).send(`${vector}more${end}`);
      expect(peer.codes()).toEqual(vector === '.\r\n' ? [] : ['550 5.6.0']);
      peer.send(`MAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n`).codes();
      peer.send(`Subject: t\r\n\r\n${vector}more${end}`);
      expect(peer.codes()).toEqual(['550 5.6.0']);
      expect(peer.queued).toEqual([]);
    },
  );
});

describe.each(manners.map((manner) => [describeManner(manner), manner] as const))(
  'normalized, %s',
  (_, manner) => {
    const normalizing: SessionOptions = { ...options, bareNewlines: 'normalize' };

    test.each(matrix)(
      'A-001 A-011: normalized, $pre . $post ends nothing: one message with its lines mended, or none',
      ({ pre, post }) => {
        const peer = new Peer(normalizing, manner).start().send(envelope);
        peer.codes();
        const text = `Subject: t\r\n\r\nbody${pre}.${post}${smuggled}..\r\n`;
        peer.send(`${text}${end}`);
        if (pre === '\r\r\n' && post === '\r\n') {
          // Other servers see no end here: nothing is mended, and the session takes no other.
          expect(peer.codes()).toEqual(['550 5.6.0', '421 4.7.0']);
          expect(peer.queued).toEqual([]);
          return;
        }
        if (text.includes('\0')) {
          expect(peer.codes()).toEqual(['550 5.6.0']);
          expect(peer.queued).toEqual([]);
          return;
        }
        expect(peer.codes()).toEqual(['250 2.0.0']);
        const unstuffed = `${text}\r\n`.replaceAll('\r\n.', '\r\n');
        expect(peer.queued.map(({ body }) => body.toString('latin1'))).toEqual([
          unstuffed.replaceAll(/\r\n?|\n/g, '\r\n'),
        ]);
      },
    );

    test.each(named.map((vector) => [show(vector), vector] as const))(
      'A-011: normalized, %s lets no newline alone out, and what a hop would take for an end is stuffed',
      (_name, vector) => {
        const peer = new Peer(normalizing, manner).start().send(envelope);
        peer.send(`Subject: t\r\n\r\nbody${vector}MAIL FROM:<evil@x.test>${end}`);
        for (const { body } of peer.queued) {
          expect(body.toString('latin1')).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0/);
          const stuffer = new DotStuffer();
          const wire = Buffer.concat([stuffer.stuff(body), stuffer.end()]).toString('latin1');
          expect(wire.indexOf('\r\n.\r\n')).toBe(wire.length - 5);
        }
        expect(peer.queued.length).toBeLessThanOrEqual(1);
      },
    );
  },
);

const edges = [4095, 4096, 4097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537];

describe.each([1023, 4096, 16_384, 65_536, 0])('read in chunks of %i', (chunkBytes) => {
  test.each(edges)('A-003: the vectors at offset %i', (offset) => {
    for (const vector of named) {
      const peer = inData({ answers: 'at once', chunkBytes });
      const body = Buffer.alloc(offset, `${'x'.repeat(70)}\r\n`);
      // What the cut-off last line ends with must not add to the vector.
      body.write('xx', offset - 2, 'latin1');
      peer.send(Buffer.concat([body, Buffer.from(`${vector}more${end}NOOP\r\n`, 'latin1')]));
      expect(peer.codes(), show(vector)).toEqual(['550 5.6.0', '250 2.0.0']);
      expect(peer.queued).toEqual([]);
    }
  });
});

test('after a doubtful end (CR CR LF . CR LF) the session answers, but takes no further mail', () => {
  const peer = inData({ answers: 'at once', chunkBytes: 0 }).send('x\r\r\n.\r\nNOOP\r\nRSET\r\nEHLO t\r\n');
  expect(peer.codes()).toEqual(['550 5.6.0', '250 2.0.0', '250 2.0.0', '250']);
  expect(peer.send('MAIL FROM:<a@x.test>\r\n').codes()).toEqual(['421 4.7.0']);
  expect(peer.closed).toBe('errors');
});

test('after any other refused message the session takes the next one', () => {
  const peer = inData({ answers: 'at once', chunkBytes: 0 }).send('x\ny\r\n.\r\n');
  expect(peer.codes()).toEqual(['550 5.6.0']);
  peer.send(envelope.slice('EHLO t\r\n'.length)).send('Subject: t\r\n.\r\n');
  expect(peer.codes()).toEqual(['250 2.1.0', '250 2.1.5', '354', '250 2.0.0']);
});
