/**
 * One transaction with an SMTP or LMTP hop: MAIL, the recipients, the content, and what became of each recipient.
 * Whatever the hop or the queue does, every recipient gets a result. 2xx is delivered, 5xx failed, all else pending:
 * a broken connection after the final dot too, as a copy too many is better than none (RFC 1047, fault F-27).
 *
 * 8-bit rule (RFC 6152 §3, conformance C-092): a message that was declared BODY=8BITMIME and has bytes above 127
 * fails with 5.6.3 at a hop without 8BITMIME, since stripping is forbidden and converting would break signatures. One
 * declared so that has none is 7-bit mail and goes without the parameter; one never declared goes as it came.
 */
import { isAscii } from 'node:buffer';

import { describeError, errorCodeOf, type PosternError } from '../base/errors.js';
import type { Lease, RecipientState } from '../queue/spool.js';

import type { CarryResult, Handover } from './carrier.js';
import { BdatFraming } from './content-bdat.js';
import { DataFraming } from './content-data.js';
import { StoredChunks, writeUntilLast } from './content.js';
import { mailLine, obstacle, recipientLines, recipientObstacle } from './envelope-lines.js';
import type { HopConnection } from './hop-connection.js';
import { describeReply, printable, type HopReply } from './last-reply.js';
import {
  envelopeStateOf,
  isTooManyRecipients,
  isUnknownCommand,
  outOfStep,
  saidByHop,
  stateOf,
} from './reply-verdict.js';

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

class HopTransaction {
  readonly #connection: HopConnection;
  readonly #lease: Lease;
  readonly #addresses: readonly string[];
  /** BDAT carries the content, not DATA. */
  readonly #chunking: boolean;
  readonly #results = new Map<string, CarryResult>();
  #answered = false;
  /** 'sent': to its end, and no reply that settles it yet. 'unread': the hop says that it did not know what it was. */
  #content: 'unsent' | 'begun' | 'sent' | 'unread' = 'unsent';
  #ambiguous = false;
  #corrupt = false;

  constructor(connection: HopConnection, lease: Lease, addresses: readonly string[]) {
    this.#connection = connection;
    this.#lease = lease;
    this.#addresses = addresses;
    this.#chunking = connection.extensions.chunking && !connection.habits.avoidsChunking;
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
    let chunks: StoredChunks | undefined;
    try {
      const eightBit = await this.#declaredEightBit();
      const addresses = this.#possible(eightBit);
      if (addresses.length === 0) return;
      this.#connection.messages++;
      chunks = new StoredChunks(this.#lease);
      const accepted = await this.#envelope(eightBit, addresses);
      if (accepted.length > 0) await this.#send(chunks, accepted);
    } catch (error) {
      this.#broken(error);
    } finally {
      await chunks?.close();
    }
  }

  // ---- envelope -------------------------------------------------------------------------------------------------

  async #declaredEightBit(): Promise<boolean> {
    if (this.#lease.message.body !== '8BITMIME') return false;
    if (this.#connection.extensions.eightBitMime) return true;
    for await (const chunk of this.#lease.body()) if (!isAscii(chunk)) return true;
    return false;
  }

  /** The addresses that the hop can be asked for; the others have their results. */
  #possible(eightBit: boolean): readonly string[] {
    const { extensions } = this.#connection;
    const reason = obstacle(this.#lease.message, extensions, eightBit);
    if (reason !== undefined) this.#settleRest('failed', reason);
    else if (!extensions.smtpUtf8)
      for (const address of this.#addresses) {
        const why = recipientObstacle(address, extensions);
        if (why !== undefined) this.#settle(address, { state: 'failed', lastReply: why });
      }
    const addresses = this.#results.size === 0 ? this.#addresses : this.#unsettled();
    // Nothing to ask a hop for is no sign of a stale connection.
    if (addresses.length === 0) this.#answered = true;
    return addresses;
  }

  /** The recipients that the hop took, with the content asked for; none: all have their results. */
  #envelope(eightBit: boolean, addresses: readonly string[]): Promise<string[]> {
    const { extensions } = this.#connection;
    const { message } = this.#lease;
    const mail = mailLine(message, extensions, eightBit, addresses);
    const recipients = recipientLines(message, extensions, addresses);
    const lines = { mail, recipients, addresses };
    return extensions.pipelining ? this.#pipelined(lines) : this.#stepwise(lines);
  }

  /**
   * RFC 2920 §3.1: one write, DATA last in the group; every reply is looked at. The recipients' replies count once all
   * are there: with one missing, each would be taken for its neighbour's, and a 5xx is final. BDAT is not in the group
   * (RFC 3030 §4.2 would allow it): a hop that refuses the envelope and does not skip the octets, as it must, would
   * read the message as commands, and the round trip is the one that 354 costs.
   */
  async #pipelined({ mail, recipients, addresses }: EnvelopeLines): Promise<string[]> {
    const connection = this.#connection;
    const { timeouts } = connection;
    const reset = connection.needsReset;
    let group = reset ? `RSET\r\n${mail}\r\n` : `${mail}\r\n`;
    for (const line of recipients) group += `${line}\r\n`;
    if (!this.#chunking) group += 'DATA\r\n';
    connection.socket.expect((reset ? 2 : 1) + addresses.length + (this.#chunking ? 0 : 1));
    connection.socket.write(group);
    connection.needsReset = true;
    if (reset) resetDone(await connection.reply('RSET', timeouts.hello));
    const mailTaken = this.#mail(await connection.reply('MAIL', timeouts.mail));
    const replies: HopReply[] = [];
    while (replies.length < addresses.length)
      replies.push(await connection.reply('RCPT', timeouts.recipient));
    const data = this.#chunking ? undefined : await connection.reply('DATA', timeouts.data);
    const accepted = addresses.filter((address, index) => {
      const reply = replies[index];
      return mailTaken && reply !== undefined && this.#recipient(address, reply);
    });
    if (data === undefined) return accepted;
    if (accepted.length === 0) await this.#nothingAccepted(data);
    return this.#data(data, accepted);
  }

  async #stepwise({ mail, recipients, addresses }: EnvelopeLines): Promise<string[]> {
    const connection = this.#connection;
    const { timeouts } = connection;
    if (connection.needsReset) resetDone(await connection.command('RSET', 'RSET', timeouts.hello));
    connection.needsReset = true;
    if (!this.#mail(await connection.command(mail, 'MAIL', timeouts.mail))) return [];
    const accepted: string[] = [];
    for (const [index, address] of addresses.entries()) {
      const reply = await connection.command(recipients[index] ?? '', 'RCPT', timeouts.recipient);
      if (this.#recipient(address, reply)) accepted.push(address);
    }
    if (accepted.length === 0 || this.#chunking) return accepted;
    return this.#data(await connection.command('DATA', 'DATA', timeouts.data), accepted);
  }

  #mail(reply: HopReply): boolean {
    this.#answered = reply.code !== 421;
    const state = envelopeStateOf(reply, 'MAIL');
    if (state === 'delivered') return true;
    this.#settleRest(state, describeReply(reply), true);
    return false;
  }

  #recipient(address: string, reply: HopReply): boolean {
    const state = isTooManyRecipients(reply) ? 'pending' : envelopeStateOf(reply, 'RCPT');
    if (state === 'delivered') return true;
    this.#settle(address, saidByHop(state, reply));
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
    for (const address of accepted) this.#settle(address, saidByHop(stateOf(reply, 'DATA'), reply));
    return [];
  }

  // ---- content --------------------------------------------------------------------------------------------------

  async #send(chunks: StoredChunks, accepted: readonly string[]): Promise<void> {
    const { socket, timeouts, protocol } = this.#connection;
    const framing = this.#chunking ? new BdatFraming(this.#lease.message.bytes) : new DataFraming();
    this.#content = 'begun';
    const last = await writeUntilLast(socket, chunks, framing, timeouts.block);
    socket.expect(protocol === 'lmtp' ? accepted.length : 1);
    socket.writeAll(last);
    this.#content = 'sent';
    const isTaken = await this.#final(accepted);
    // After the dot the transaction is over either way; what a refused BDAT leaves is not said as clearly.
    this.#connection.needsReset = this.#chunking && !isTaken;
  }

  /** True: taken for all. SMTP answers once for all, LMTP once for each recipient it took, in their order (RFC 2033 §4.2). */
  async #final(accepted: readonly string[]): Promise<boolean> {
    const { timeouts, protocol } = this.#connection;
    const phase = this.#chunking ? 'BDAT' : 'the final dot';
    let reply: HopReply | undefined;
    let isTaken = true;
    for (const address of accepted) {
      if (reply === undefined || protocol === 'lmtp')
        reply = await this.#connection.reply(phase, timeouts.end);
      if (this.#chunking && isUnknownCommand(reply)) throw this.#bdatUnknown(reply);
      const state = stateOf(reply, phase);
      isTaken &&= state === 'delivered';
      this.#settle(address, saidByHop(state, reply));
    }
    return isTaken;
  }

  /** Something on the way does not know what the hop announced: no verdict, and nothing was taken. */
  #bdatUnknown(reply: HopReply): PosternError {
    this.#content = 'unread';
    return outOfStep(reply, 'BDAT');
  }

  // ---- results --------------------------------------------------------------------------------------------------

  #broken(error: unknown): void {
    const { goodbye } = this.#connection;
    const reason = goodbye ?? printable(describeError(error));
    const refusal = this.#earlyRefusal();
    this.#corrupt = errorCodeOf(error) === 'SPOOL_CORRUPT';
    this.#ambiguous = this.#content === 'sent';
    if (this.#chunking && this.#content !== 'unsent' && !this.#corrupt)
      this.#connection.habits.avoidsChunking = true;
    // Half a message is on its way, or replies are outstanding: only closing brings both sides back in step.
    this.#connection.cut(reason);
    if (refusal !== undefined)
      this.#settleRest(stateOf(refusal, 'the content'), describeReply(refusal), true);
    else this.#settleRest(this.#corrupt ? 'failed' : 'pending', reason, goodbye !== undefined);
  }

  /**
   * A hop that wants no more of the content may say so before its end, and many do at their size limit. What refuses a
   * message of which the end was never sent is a verdict; a 2xx at that point is not (attack A-142), nor is 503.
   */
  #earlyRefusal(): HopReply | undefined {
    const { uninvited } = this.#connection.socket;
    const isRefusal = uninvited !== undefined && uninvited.code >= 400 && uninvited.code !== 503;
    return isRefusal && this.#content === 'begun' ? uninvited : undefined;
  }

  #unsettled(): string[] {
    return this.#addresses.filter((address) => !this.#results.has(address));
  }

  #settle(address: string, result: Omit<CarryResult, 'address'>): void {
    if (!this.#results.has(address)) this.#results.set(address, { address, ...result });
  }

  #settleRest(state: RecipientState, lastReply: string, fromHop = false): void {
    for (const address of this.#addresses) this.#settle(address, { state, lastReply, fromHop });
  }
}

interface EnvelopeLines {
  readonly mail: string;
  /** In the order of the addresses. */
  readonly recipients: readonly string[];
  readonly addresses: readonly string[];
}

/** RFC 3461 §5.2: LMTP's reply is the mailbox's own, unless the hop wants to tell itself. */
function handoverOf({ extensions, protocol }: HopConnection): Handover {
  if (extensions.dsn) return 'dsn';
  return protocol === 'lmtp' ? 'final' : 'relayed';
}

/** A MAIL into the transaction before would get 503, which is no verdict on the message. */
function resetDone(reply: HopReply): void {
  if (reply.code >= 300) throw outOfStep(reply, 'RSET');
}
