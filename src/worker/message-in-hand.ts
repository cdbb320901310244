/**
 * The message that one connection receives now, between the session that reads it and the queue that stores it. One per
 * connection, used again for each message; the 250 is the intake's.
 */
import type { Session } from '../protocol/session.js';
import type { AbandonReason, Transaction, Verdict } from '../protocol/types.js';
import type { MessageWriter } from '../queue/spool.js';
import type { Peer } from './peer.js';
import type { Service } from './service.js';

/** Who reads from the client, and pauses while the message is congested. */
export interface MessageSource {
  /** The queue takes more again. */
  goOn(): void;
}

export class MessageInHand {
  readonly #service: Service;
  readonly #peer: Peer;
  readonly #source: MessageSource;
  #writer: MessageWriter | undefined;
  #startedMs = 0;

  constructor(service: Service, peer: Peer, source: MessageSource) {
    this.#service = service;
    this.#peer = peer;
    this.#source = source;
  }

  /** The queue takes no more for now: nothing is to be read. */
  get congested(): boolean {
    return this.#writer?.congested === true;
  }

  begin(transaction: Transaction, session: Session): void {
    this.#startedMs = performance.now();
    const budgets = this.#service.networkBudgets.of(this.#peer.ticket);
    this.#writer = this.#service.intake.open(transaction, this.#peer.factsOf(session), budgets);
    this.#writer.onWritable = () => this.#source.goOn();
  }

  write(slice: Buffer): void {
    this.#writer?.write(slice);
    this.#service.room.took(slice.length);
  }

  abandon(reason: AbandonReason): void {
    this.#writer?.abort();
    this.#writer = undefined;
    this.#service.log.debug(
      { event: 'message.abandoned', ...this.#peer.logFacts, reason },
      'message dropped before its end',
    );
  }

  async store(transaction: Transaction, session: Session): Promise<Verdict> {
    const writer = this.#writer;
    if (writer === undefined) throw new Error('message-end without a message');
    this.#writer = undefined;
    writer.onWritable = undefined;
    this.#service.stageData.observe((performance.now() - this.#startedMs) / 1000);
    const verdict = await this.#service.intake.store(writer, transaction, this.#peer.factsOf(session));
    if (verdict.ok) this.#peer.reception.stored();
    // Before the session goes on: this message may have been the last that the queue has room for.
    this.#service.room.update();
    return verdict;
  }
}
