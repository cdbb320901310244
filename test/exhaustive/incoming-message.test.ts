/**
 * Every string over {CR, LF, '.', 'a', NUL} up to length 7 (97 656) as a message, by DATA and by BDAT, refused or mended
 * where it has a newline alone: whole, byte by byte and in every two pieces, against string functions on the whole text.
 */
import { describe, expect, test } from 'vitest';
import { IncomingMessage } from '../../src/protocol/incoming-message.js';
import type { SessionOptions, SessionSink } from '../../src/protocol/types.js';
import { options } from '../protocol/harness.js';
import { strings } from './strings.js';

const longest = 7;

interface Outcome {
  /** Of what came before the end; -1: the end has not come. */
  readonly end: number;
  readonly refusal: string | undefined;
  /** Of an accepted message. */
  readonly body: string;
}

let body = '';
const sink: SessionSink = {
  reply: unexpected,
  messageBegin: unexpected,
  body: (slice) => (body += slice.toString('latin1')),
  messageAbandon: () => undefined,
  ask: unexpected,
  upgrade: unexpected,
  close: unexpected,
};

function unexpected(): never {
  throw new Error('a message does not do that');
}

/** @param edges where one piece ends and the next begins, the total last */
function read(message: IncomingMessage, bytes: Buffer, dots: boolean, edges: readonly number[]): Outcome {
  message.begin(false, dots);
  body = '';
  let from = 0;
  for (const edge of edges) {
    const piece = bytes.subarray(from, edge);
    for (let at = 0; at < piece.length; at = message.position) {
      if (!dots && message.refusal !== undefined) break; // its octets are skipped
      message.read(piece, at, piece.length, sink);
      if (message.ended) return outcome(message, from + message.position);
    }
    from = edge;
  }
  if (dots) return { end: -1, refusal: undefined, body: '' };
  message.finish(sink);
  return outcome(message, bytes.length);
}

function outcome(message: IncomingMessage, end: number): Outcome {
  const refusal = message.refusal?.name;
  if (refusal === undefined && message.bodyBytes !== body.length) throw new Error('bodyBytes is wrong');
  return { end, refusal, body: refusal === undefined ? body : '' };
}

function reference(input: string, dots: boolean, normalize: boolean): Outcome {
  if (!dots) return judged(input, input.length, false, normalize);
  const text = `\r\n${input}`; // as if a line had just ended
  const at = text.indexOf('\r\n.\r\n');
  if (at < 0) return { end: -1, refusal: undefined, body: '' };
  const content = text.slice(0, at + 2);
  const unstuffed = content.replaceAll('\r\n.', '\r\n').slice(2);
  return judged(unstuffed, at + 3, text[at - 1] === '\r', normalize, content);
}

/** @param raw with the dots: a newline alone is judged before they are taken away */
function judged(text: string, end: number, doubtful: boolean, normalize: boolean, raw = text): Outcome {
  const wrong = (normalize ? /\0/ : /\0|\r(?!\n)|(?<!\r)\n/).exec(raw)?.[0];
  if (wrong !== undefined) return { end, refusal: wrong === '\0' ? 'nulInMessage' : 'bareNewline', body: '' };
  if (doubtful) return { end, refusal: 'bareNewline', body: '' };
  return { end, refusal: undefined, body: normalize ? text.replaceAll(/\r\n?|\n/g, '\r\n') : text };
}

function same(a: Outcome, b: Outcome): boolean {
  return a.end === b.end && a.refusal === b.refusal && a.body === b.body;
}

describe.each([
  ['DATA, refused', true, false],
  ['DATA, normalized', true, true],
  ['BDAT, refused', false, false],
  ['BDAT, normalized', false, true],
] as const)('all strings up to length 7 by %s (C-054 C-095 A-009 A-010 A-011)', (_, dots, normalize) => {
  const bareNewlines = normalize ? 'normalize' : 'reject';
  const sessionOptions: SessionOptions = { ...options, bareNewlines };
  const message = new IncomingMessage(sessionOptions);

  test('whole, byte by byte and in two pieces they are what the reference says', { timeout: 120_000 }, () => {
    let compared = 0;
    for (let length = 0; length <= longest; length++) {
      const single = Array.from({ length }, (_unused, at) => at + 1);
      for (const text of strings(length)) {
        const expected = reference(text, dots, normalize);
        const bytes = Buffer.from(text, 'latin1');
        const compare = (how: string, edges: readonly number[]): void => {
          const found = read(message, bytes, dots, edges);
          if (!same(found, expected)) fail(how, text, found, expected);
        };
        compare('whole', [length]);
        compare('byte by byte', single);
        if (length < longest)
          for (let edge = 1; edge < length; edge++) compare(`cut at ${edge}`, [edge, length]);
        compared++;
      }
    }
    expect(compared).toBe(97_656);
  });
});

function fail(how: string, text: string, found: Outcome, expected: Outcome): never {
  expect({ how, text, ...found }).toEqual({ how, text, ...expected });
  throw new Error('the comparison and expect disagree');
}
