/**
 * One transaction with an SMTP or LMTP hop: MAIL, the recipients, DATA, the body, and what became of each recipient.
 * Whatever the hop or the queue does, every recipient gets a result. 2xx is delivered, 5xx failed, all else pending:
 * a broken connection after the final dot too, as a copy too many is better than none (RFC 1047, fault F-27).
 *
 * 8-bit rule (RFC 6152 §3, conformance C-092): a message that was declared BODY=8BITMIME and has bytes above 127
 * fails with 5.6.3 at a hop without 8BITMIME, since stripping is forbidden and converting would break signatures. One
 * declared so that has none is 7-bit mail and goes without the parameter; one never declared goes as it came.
 */
import { isAscii } from 'node:buffer';

import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import type { Lease, RecipientState } from '../queue/spool.js';

import type { CarryResult, Handover } from './carrier.js';
import { DotStuffer } from './dot-stuffer.js';
import type { HopConnection } from './hop-connection.js';
import { describeReply, enhancedCodeOf, printable, type HopReply } from './last-reply.js';

/** Every server takes this many recipients in one transaction (RFC 5321 §4.5.3.1.8). */
export const maxRecipientsPerTransaction = 100;

export interface TransactionOutcome {
  /** One per address, in their order. */
  readonly results: CarryResult[];
  readonly handover: Handover;
  /** The hop answered MAIL with something other than good-bye: a repetition elsewhere would be a second attempt. */
  readonly answered: boolean;
  /** The final dot was sent and its reply is missing: the hop may have the message. */
  readonly ambiguous: boolean;
  /** The stored message does not match its checksum and was not sent. */
  readonly corrupt: boolean;
}

/** @param addresses distinct, 1 to maxRecipientsPerTransaction. Never throws for what hop, network or queue do. */
export async function transact(
  connection: HopConnection,
  lease: Lease,
  addresses: readonly string[],
): Promise<TransactionOutcome> {
  const transaction = new HopTransaction(connection, lease, addresses);
  const whole = setTimeout(
    () => connection.cut('the transaction took too long'),
    connection.timeouts.transaction,
  );
  try {
    await transaction.run();
  } finally {
    clearTimeout(whole);
  }
  return transaction.outcome();
}

type Chunks = AsyncIterator<Buffer, unknown>;

class HopTransaction {
  readonly #connection: HopConnection;
  readonly #lease: Lease;
  readonly #addresses: readonly string[];
  readonly #results = new Map<string, CarryResult>();
  #answered = false;
  #dotSent = false;
  #ambiguous = false;
  #corrupt = false;

  constructor(connection: HopConnection, lease: Lease, addresses: readonly string[]) {
    this.#connection = connection;
    this.#lease = lease;
    this.#addresses = addresses;
  }

  outcome(): TransactionOutcome {
    const results: CarryResult[] = [];
    for (const address of this.#addresses)
      results.push(this.#results.get(address) ?? { address, state: 'pending', lastReply: 'not tried' });
    return {
      results,
      handover: handoverOf(this.#connection),
      answered: this.#answered,
      ambiguous: this.#ambiguous,
      corrupt: this.#corrupt,
    };
  }

  async run(): Promise<void> {
    let chunks: Chunks | undefined;
    try {
      const eightBit = await this.#declaredEightBit();
      const obstacle = this.#obstacle(eightBit);
      if (obstacle !== undefined) {
        this.#answered = true;
        this.#settleRest('failed', obstacle);
        return;
      }
      this.#connection.messages++;
      // The first chunk is read while the hop thinks about the envelope.
      chunks = this.#lease.body()[Symbol.asyncIterator]();
      const first = chunks.next();
      first.catch(ignore);
      const accepted = await this.#envelope(this.#mailLine(eightBit));
      if (accepted.length > 0) await this.#content(chunks, first, accepted);
    } catch (error) {
      this.#broken(error);
    } finally {
      await chunks?.return?.().catch(ignore);
    }
  }

  // ---- envelope -------------------------------------------------------------------------------------------------

  /** Undefined: nothing to declare. */
  async #declaredEightBit(): Promise<boolean> {
    if (this.#lease.message.body !== '8BITMIME') return false;
    if (this.#connection.extensions.eightBitMime) return true;
    for await (const chunk of this.#lease.body()) if (!isAscii(chunk)) return true;
    return false;
  }

  #obstacle(eightBit: boolean): string | undefined {
    const { extensions } = this.#connection;
    if (this.#lease.message.smtpUtf8 && !extensions.smtpUtf8)
      return '5.6.7 the next hop does not support SMTPUTF8';
    if (eightBit && !extensions.eightBitMime) return '5.6.3 the next hop does not support 8BITMIME';
    return undefined;
  }

  #mailLine(eightBit: boolean): string {
    const { message } = this.#lease;
    let line = `MAIL FROM:<${message.reversePath}>`;
    if (this.#connection.extensions.size) line += ` SIZE=${message.bytes}`;
    if (eightBit) line += ' BODY=8BITMIME';
    if (message.smtpUtf8) line += ' SMTPUTF8';
    return line;
  }

  /** The recipients that the hop took, with the body asked for; none: all have their results. */
  #envelope(mailLine: string): Promise<string[]> {
    return this.#connection.extensions.pipelining ? this.#pipelined(mailLine) : this.#stepwise(mailLine);
  }

  /**
   * RFC 2920 §3.1: one write, DATA last in the group; every reply is looked at. The recipients' replies count once all
   * are there: with one missing, each would be taken for its neighbour's, and a 5xx is final.
   */
  async #pipelined(mailLine: string): Promise<string[]> {
    const connection = this.#connection;
    const { timeouts } = connection;
    const reset = connection.needsReset;
    let group = reset ? 'RSET\r\n' : '';
    group += `${mailLine}\r\n`;
    for (const address of this.#addresses) group += `RCPT TO:<${address}>\r\n`;
    connection.socket.expect((reset ? 3 : 2) + this.#addresses.length);
    connection.socket.write(`${group}DATA\r\n`);
    connection.needsReset = true;
    if (reset) resetDone(await connection.reply('RSET', timeouts.hello));
    const mailTaken = this.#mail(await connection.reply('MAIL', timeouts.mail));
    const replies: HopReply[] = [];
    while (replies.length < this.#addresses.length)
      replies.push(await connection.reply('RCPT', timeouts.recipient));
    const data = await connection.reply('DATA', timeouts.data);
    const accepted = this.#addresses.filter((address, index) => {
      const reply = replies[index];
      return mailTaken && reply !== undefined && this.#recipient(address, reply);
    });
    if (accepted.length === 0) await this.#nothingAccepted(data);
    return this.#data(data, accepted);
  }

  async #stepwise(mailLine: string): Promise<string[]> {
    const connection = this.#connection;
    const { timeouts } = connection;
    if (connection.needsReset) resetDone(await connection.command('RSET', 'RSET', timeouts.hello));
    connection.needsReset = true;
    if (!this.#mail(await connection.command(mailLine, 'MAIL', timeouts.mail))) return [];
    const accepted: string[] = [];
    for (const address of this.#addresses) {
      const reply = await connection.command(`RCPT TO:<${address}>`, 'RCPT', timeouts.recipient);
      if (this.#recipient(address, reply)) accepted.push(address);
    }
    if (accepted.length === 0) return accepted;
    return this.#data(await connection.command('DATA', 'DATA', timeouts.data), accepted);
  }

  #mail(reply: HopReply): boolean {
    this.#answered = reply.code !== 421;
    const state = stateOf(reply, 'MAIL');
    if (state === 'delivered') return true;
    this.#settleRest(state, describeReply(reply));
    return false;
  }

  #recipient(address: string, reply: HopReply): boolean {
    const state = isTooManyRecipients(reply) ? 'pending' : stateOf(reply, 'RCPT');
    if (state === 'delivered') return true;
    this.#settle(address, state, describeReply(reply));
    return false;
  }

  /** RFC 2920 §3.1: a 354 without a recipient is answered with the lone dot, whose reply means nothing. */
  async #nothingAccepted(data: HopReply): Promise<void> {
    if (data.code !== 354) return;
    const { socket, timeouts, protocol } = this.#connection;
    // LMTP answers the dot once per recipient, of which there are none: nothing to stay in step with.
    if (protocol === 'lmtp') return this.#connection.cut('354 without a recipient');
    socket.expect(1);
    socket.write('.\r\n');
    await this.#connection.reply('the lone dot', timeouts.end);
  }

  #data(reply: HopReply, accepted: string[]): string[] {
    if (accepted.length === 0 || reply.code === 354) return accepted;
    // 250 to DATA (attack A-142) is nonsense as 354 is elsewhere.
    if (reply.code < 400) throw outOfStep(reply, 'DATA');
    for (const address of accepted) this.#settle(address, stateOf(reply, 'DATA'), describeReply(reply));
    return [];
  }

  // ---- content --------------------------------------------------------------------------------------------------

  async #content(
    chunks: Chunks,
    first: Promise<IteratorResult<Buffer, unknown>>,
    accepted: readonly string[],
  ): Promise<void> {
    const { socket, timeouts, protocol } = this.#connection;
    const stuffer = new DotStuffer();
    let last: Buffer = empty;
    // One chunk is held back, so that the end is known, checksum included, before the last of it is written.
    for (let step = await first; step.done !== true; step = await chunks.next()) {
      if (last.length > 0) await socket.send(last, timeouts.block);
      last = stuffer.stuff(step.value);
    }
    if (socket.error !== undefined) throw socket.error;
    socket.expect(protocol === 'lmtp' ? accepted.length : 1);
    socket.writeBoth(last, stuffer.end());
    this.#dotSent = true;
    await this.#final(accepted);
    this.#connection.needsReset = false;
  }

  /** SMTP answers once for all, LMTP once for each recipient it took, in their order (RFC 2033 §4.2). */
  async #final(accepted: readonly string[]): Promise<void> {
    const { timeouts, protocol } = this.#connection;
    let reply: HopReply | undefined;
    for (const address of accepted) {
      if (reply === undefined || protocol === 'lmtp')
        reply = await this.#connection.reply('the final dot', timeouts.end);
      this.#settle(address, stateOf(reply, 'the final dot'), describeReply(reply));
    }
  }

  // ---- results --------------------------------------------------------------------------------------------------

  #broken(error: unknown): void {
    const reason = this.#connection.goodbye ?? printable(describeError(error));
    this.#corrupt = errorCodeOf(error) === 'SPOOL_CORRUPT';
    this.#ambiguous = this.#dotSent;
    // Half a message is on its way, or replies are outstanding: only closing brings both sides back in step.
    this.#connection.cut(reason);
    this.#settleRest(this.#corrupt ? 'failed' : 'pending', reason);
  }

  #settle(address: string, state: RecipientState, lastReply: string): void {
    if (!this.#results.has(address)) this.#results.set(address, { address, state, lastReply });
  }

  #settleRest(state: RecipientState, lastReply: string): void {
    for (const address of this.#addresses) this.#settle(address, state, lastReply);
  }
}

const empty = Buffer.alloc(0);

/** RFC 3461 §5.2: LMTP's reply is the mailbox's own, unless the hop wants to tell itself. */
function handoverOf({ extensions, protocol }: HopConnection): Handover {
  if (extensions.dsn) return 'dsn';
  return protocol === 'lmtp' ? 'final' : 'relayed';
}

/**
 * 'delivered' of any 2xx. 3xx belongs to DATA alone, and 503 speaks of the order of commands, not of the message.
 * @throws PosternError RELAY_PROTOCOL for these
 */
function stateOf(reply: HopReply, phase: string): RecipientState {
  const { code } = reply;
  if (code === 503 || (code >= 300 && code < 400)) throw outOfStep(reply, phase);
  if (code >= 500) return 'failed';
  return code >= 400 ? 'pending' : 'delivered';
}

/** A MAIL into the transaction before would get 503, which is no verdict on the message. */
function resetDone(reply: HopReply): void {
  if (reply.code >= 300) throw outOfStep(reply, 'RSET');
}

function outOfStep(reply: HopReply, phase: string): PosternError {
  return new PosternError('RELAY_PROTOCOL', `${phase}: ${describeReply(reply)}`);
}

/** RFC 5321 §4.5.3.1.10: 552 for too many recipients is to be read as 452; with another reason in its enhanced code
 *  (mailbox full, message too big) it means what it says. */
function isTooManyRecipients(reply: HopReply): boolean {
  return reply.code === 552 && ['', '5.5.3'].includes(enhancedCodeOf(reply));
}

function ignore(): void {}
