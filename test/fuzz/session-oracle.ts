/**
 * What must be true of a session whatever it is fed. One input is run three times, as it is, byte by byte and in other
 * pieces; the harness throws where the session breaks its contract with the caller, and the replies are read strictly.
 */
import type { Question } from '../../src/protocol/types.js';
import { Peer } from '../protocol/harness.js';
import { replyFault } from '../support/reply-grammar.js';
import { Random } from '../support/random.js';
import type { Input } from './input.js';
import { decide, insideTls, setupOf } from './setups.js';

/** Replies that cut a client off for what it sent too soon: they depend on what came in one segment. */
const hasty = new Set(['earlyTalk']);
/** RFC 5321 §3.8, and what limits.md adds: the last words before we close. C-026. */
const lastWords = new Set([221, 421, 521, 554]);

interface Outcome {
  /** `context name`, in order. */
  readonly replies: readonly string[];
  readonly codes: readonly number[];
  readonly queued: readonly string[];
  readonly abandoned: readonly string[];
  readonly closed: string | undefined;
  /** What was handed over to TLS stands here too. */
  readonly upgrades: number;
  readonly peer: Peer;
}

/** The last line of its greeting does not come. */
class TeasedPeer extends Peer {
  override start(): this {
    this.session.start(this, true);
    return this;
  }

  override ask(question: Question): void {
    if (question.kind !== 'pause' || question.why !== 'greeting') super.ask(question);
  }
}

type Pieces = (segment: Buffer) => readonly Buffer[];

/** @returns what is wrong, and what was reached: the replies by pairs, for the search of new ground */
export function examine(input: Input): {
  readonly fault: string | undefined;
  readonly reached: readonly string[];
} {
  try {
    const whole = drive(input, (segment) => [segment], 'at once');
    const random = new Random(input.segments.length * 2);
    const fault =
      faultOf(input, whole) ??
      difference(whole, drive(input, singleBytes, 'later')) ??
      difference(
        whole,
        drive(input, (segment) => randomPieces(segment, random), 'later'),
      ) ??
      stepFault(input, whole.peer);
    return { fault, reached: pairs(input.setup, whole) };
  } catch (error) {
    return { fault: error instanceof Error ? (error.stack ?? error.message) : String(error), reached: [] };
  }
}

function drive(input: Input, pieces: Pieces, answers: 'at once' | 'later'): Outcome {
  const { options, lead, teased = false } = setupOf(input.setup);
  const peer = new (teased ? TeasedPeer : Peer)(
    options,
    { answers, chunkBytes: 0 },
    decide(input.setup),
  ).start();
  let upgrades = 0;
  for (const segment of [...lead.map((text) => Buffer.from(text, 'latin1')), ...input.segments]) {
    for (const piece of pieces(segment)) peer.send(piece);
    if (!peer.upgraded) continue;
    if (peer.closed !== undefined) break;
    upgrades++;
    peer.handshake(insideTls(options));
  }
  return {
    replies: peer.replies.map(({ reply, context }) => `${context} ${reply.name}`),
    codes: peer.replies.map(({ reply }) => reply.code),
    queued: peer.queued.map(({ from, to, body }) => `${from} ${to.join(' ')} ${body.toString('latin1')}`),
    abandoned: [...peer.abandoned],
    closed: peer.closed,
    upgrades,
    peer,
  };
}

function singleBytes(segment: Buffer): Buffer[] {
  return Array.from(segment, (_, at) => segment.subarray(at, at + 1));
}

function randomPieces(segment: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < segment.length;) {
    const end = at + random.between(1, 40);
    pieces.push(segment.subarray(at, end));
    at = end;
  }
  return pieces;
}

function faultOf(
  input: Input,
  { peer, codes, replies, queued, closed, upgrades }: Outcome,
): string | undefined {
  for (const { reply } of peer.replies) {
    // The first line of a reply whose last one comes later.
    if (reply.name === 'teaser') continue;
    const fault = replyFault(reply.bytes);
    if (fault !== undefined) return `reply ${reply.name}: ${fault}`;
  }
  const taken = peer.replies.filter(
    ({ reply, context }) => context === 'MESSAGE' && reply.code === 250,
  ).length;
  if (input.setup !== 'lmtp' && taken !== queued.length)
    return `${queued.length} messages were queued and ${taken} answered 250`;
  const last = codes.at(-1) ?? 0;
  if (closed !== undefined && !lastWords.has(last)) return `closed after ${last}`;
  return upgrades === 0 && closed === undefined ? countFault(input, replies, codes) : undefined;
}

/** C-029, where the lines of the client can be counted: no message, no exchange of AUTH, no chunk. */
function countFault(input: Input, replies: readonly string[], codes: readonly number[]): string | undefined {
  const said = Buffer.concat([
    ...setupOf(input.setup).lead.map((text) => Buffer.from(text)),
    ...input.segments,
  ]);
  const text = said.toString('latin1');
  if (codes.some((code) => code === 354 || code === 334) || /bdat/i.test(text)) return undefined;
  const lines = text.split('\r\n').length - 1;
  // A line that never ends is answered when it passes its bound.
  const unfinished = replies.at(-1)?.endsWith('ineTooLong') === true ? 1 : 0;
  const answered = replies.length - 1;
  if (answered === lines || answered === lines + unfinished) return undefined;
  return `${lines} lines, ${answered} replies`;
}

/** The same bytes in other pieces say the same, up to where the whole was cut off for being hasty. */
function difference(whole: Outcome, pieces: Outcome): string | undefined {
  const cutOff = whole.replies.findIndex((reply) => hasty.has(reply.split(' ')[1] ?? ''));
  if (cutOff >= 0) return unequal('replies', whole.replies.slice(0, cutOff), pieces.replies.slice(0, cutOff));
  return (
    unequal('replies', whole.replies, pieces.replies) ??
    unequal('queued', whole.queued, pieces.queued) ??
    unequal('abandoned', whole.abandoned, pieces.abandoned) ??
    unequal('closed', [whole.closed ?? ''], [pieces.closed ?? ''])
  );
}

function unequal(what: string, whole: readonly string[], pieces: readonly string[]): string | undefined {
  const [one, other] = [JSON.stringify(whole), JSON.stringify(pieces)];
  return one === other ? undefined : `${what}: whole ${one}, in pieces ${other}`;
}

/** Whoever is not cut off can leave: what is open is ended, then QUIT is 221. Octets of a chunk cannot be ended so. */
function stepFault(input: Input, peer: Peer): string | undefined {
  const chunks = /bdat/i.test(Buffer.concat(input.segments).toString('latin1')) || input.setup === 'bdat';
  if (peer.closed !== undefined || peer.upgraded || (chunks && peer.session.inData)) return undefined;
  peer.send('\r\n');
  // The line that this ended may have been STARTTLS: then nothing is said in plain text any more.
  if (peer.upgraded) return undefined;
  if (chunks && peer.session.inData) return undefined;
  if (peer.closed === undefined && peer.session.inData) peer.send('.\r\n');
  if (peer.closed === undefined && peer.session.deadline === 'auth') peer.send('*\r\n');
  if (peer.closed !== undefined || peer.session.inData) return undefined;
  peer.send('QUIT\r\n');
  const last = peer.replies.at(-1)?.reply.code;
  return last === 221 && peer.closed === 'quit' ? undefined : `out of step: QUIT was answered ${last}`;
}

function pairs(setup: string, { replies, closed }: Outcome): string[] {
  const all = [setup, ...replies, closed ?? 'open'];
  return all.slice(1).map((reply, at) => `${all[at]} > ${reply}`);
}
