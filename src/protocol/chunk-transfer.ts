/**
 * BDAT, RFC 3030 §2: a message in chunks of announced length. Each chunk has its own reply; the octets of a chunk are
 * read in any case, since they would be commands otherwise (attacks.md A-043), and only then is it answered.
 */
import { DIGIT, is, SPACE } from './characters.js';
import type { Chunk, Dialogue, Phase } from './dialogue.js';
import { advanceMessage, beginMessage, openMessage } from './message-transfer.js';
import { replies } from './replies.js';
import { askBits, type Reply, type SessionSink } from './types.js';
import { matches } from './verb-table.js';

// Chunks below this that are not the last cost more than they bring: they count as junk commands. Senders cut
// at tens of kilobytes.
const tinyChunkBytes = 256;

/**
 * @param start first byte behind the verb and its spaces
 * @param fault what is wrong with a BDAT at this place
 */
export function bdat(
  dialogue: Dialogue,
  bytes: Buffer,
  start: number,
  end: number,
  fault: Reply | undefined,
  sink: SessionSink,
): void {
  const chunk = parseChunk(bytes, start, end, dialogue.phase);
  if (chunk === undefined) {
    // How many octets follow is unknown, so what follows can be neither skipped nor taken for commands: A-071.
    sink.reply(replies.badChunkSize, 'BDAT');
    dialogue.leave(replies.unknownLength, 'BDAT', 'errors', sink);
    return;
  }
  if (chunk.leftBytes < tinyChunkBytes && !chunk.last && dialogue.patience.junk()) {
    dialogue.leave(replies.tooManyCommands, 'BDAT', 'errors', sink);
    return;
  }
  chunk.fault = fault;
  dialogue.chunk = chunk;
  if (fault === undefined && dialogue.isAskedAt(askBits.BDAT))
    dialogue.ask({ kind: 'verb', verb: 'BDAT', argument: bytes.toString('latin1', start, end) }, sink);
  else beginChunk(dialogue, undefined, sink);
}

/** @param fault it was refused after all */
export function beginChunk(dialogue: Dialogue, fault: Reply | undefined, sink: SessionSink): void {
  const chunk = openChunk(dialogue);
  chunk.fault ??= fault;
  // RFC 3030 §2: the transaction has failed. What comes behind must not become a message that lacks these octets.
  if (chunk.fault !== undefined) dialogue.dropTransaction(sink);
  else {
    if (!dialogue.inMessage) beginMessage(dialogue, false, sink);
    const message = openMessage(dialogue);
    // Known before a byte of it is stored.
    if (message.bodyBytes + chunk.leftBytes > dialogue.options.limits.messageBytes)
      message.refuse(replies.messageTooLarge, 'too-large', sink);
  }
  dialogue.phase = 'chunk';
  if (chunk.leftBytes === 0) endChunk(dialogue, chunk, sink);
}

function openChunk(dialogue: Dialogue): Chunk {
  if (dialogue.chunk === undefined) throw new Error('no chunk is open');
  return dialogue.chunk;
}

/** Bytes while the phase is `chunk`. */
export function readChunk(dialogue: Dialogue, bytes: Buffer, sink: SessionSink): void {
  const { input, message } = dialogue;
  const chunk = openChunk(dialogue);
  let end = Math.min(bytes.length, input.at + chunk.leftBytes);
  if (chunk.fault === undefined && message !== undefined && !message.refused) {
    message.read(bytes, input.at, end, sink);
    end = message.position;
  }
  chunk.leftBytes -= end - input.at;
  input.at = end;
  if (message?.hasNext === true && chunk.fault === undefined) advanceMessage(dialogue, sink);
  else if (chunk.leftBytes === 0) endChunk(dialogue, chunk, sink);
}

/** header-end was asked inside the chunk, and answered. */
export function resumeChunk(dialogue: Dialogue, sink: SessionSink): void {
  const chunk = openChunk(dialogue);
  if (chunk.leftBytes === 0) endChunk(dialogue, chunk, sink);
}

function endChunk(dialogue: Dialogue, chunk: Chunk, sink: SessionSink): void {
  dialogue.phase = chunk.before;
  dialogue.chunk = undefined;
  if (chunk.fault !== undefined) {
    dialogue.reply(chunk.fault, 'BDAT', sink);
    return;
  }
  const message = openMessage(dialogue);
  message.endChunk(chunk.last, sink);
  if (chunk.last || message.refused) {
    advanceMessage(dialogue, sink);
    return;
  }
  message.replyDue = false;
  sink.reply(replies.chunkReceived, 'BDAT');
}

/** `chunk-size [SP "LAST"]`; undefined: the octets behind it cannot be counted. */
function parseChunk(bytes: Buffer, start: number, end: number, before: Phase): Chunk | undefined {
  let at = start;
  let size = 0;
  while (at < end && is(DIGIT, bytes[at])) {
    size = size * 10 + (bytes[at++] ?? 0) - 0x30;
    if (size > Number.MAX_SAFE_INTEGER) return undefined;
  }
  if (at === start) return undefined;
  const last = at < end;
  if (last && !(bytes[at] === SPACE && end - at === ' LAST'.length && matches(bytes, at + 1, 'LAST')))
    return undefined;
  return { leftBytes: size, last, before, fault: undefined };
}
