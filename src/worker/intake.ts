/**
 * The one place where "committed" becomes 250 (promise 1): `store` awaits the commit, and only then is there a reply
 * that says the message is queued. Also opens each message with its trace field on top (RFC 5321 §4.4).
 */
import { describeError, errorCodeOf } from '../base/errors.js';
import { loggedAddresses, maxLoggedCharacters } from '../base/logged-values.js';
import type { Log } from '../base/log.js';
import type { Cell, Meters } from '../metrics/meters.js';
import { traceField } from '../protocol/received.js';
import { replies, queuedAs } from '../protocol/replies.js';
import type { Transaction, Verdict } from '../protocol/types.js';
import type { ByteBudget } from '../queue/byte-budget.js';
import type { MessageWriter, Spool } from '../queue/spool.js';
import { forwardedFact, type Client } from './client.js';
import type { Listener } from './listener.js';

/** Nothing is wrong but that there is no space: 452, as MAIL gets it from then on. */
function isFull(error: unknown): boolean {
  return errorCodeOf(error) === 'SPOOL_FULL';
}

/** What the envelope and the trace field need to know of the session. */
export interface SessionFacts {
  readonly listener: Listener;
  readonly sessionId: string;
  readonly client: Client;
  readonly clientName: string;
  readonly extended: boolean;
  readonly secure: boolean;
  readonly tlsVersion: string;
  /** Subject of the one that verified; '' where there is none. */
  readonly clientCertificate: string;
  readonly user: string;
  /** As its header has it, cut; '' where it has none. */
  readonly messageId: string;
}

export class Intake {
  readonly #spool: Spool;
  readonly #hostname: string;
  readonly #log: Log;
  readonly #commitSeconds;
  readonly #recipients: Cell;

  constructor(spool: Spool, hostname: string, meters: Meters, log: Log) {
    this.#spool = spool;
    this.#hostname = hostname;
    this.#log = log;
    this.#commitSeconds = meters.stageSeconds.of('commit');
    this.#recipients = meters.recipientsAcceptedTotal.of();
  }

  /** @param budgets of the client's networks */
  open(transaction: Transaction, facts: SessionFacts, budgets?: readonly ByteBudget[]): MessageWriter {
    const writer = this.#spool.begin(Date.now(), budgets);
    writer.write(
      traceField({
        clientName: facts.clientName,
        clientAddress: facts.client.address,
        hostname: this.#hostname,
        protocol: facts.listener.protocol,
        extended: facts.extended,
        secure: facts.secure,
        authenticated: facts.user !== '',
        smtpUtf8: transaction.parameters.smtpUtf8,
        queueId: writer.id,
        // One recipient only: naming one of several would show blind copies (RFC 5321 §7.2).
        forPath: transaction.recipients.length === 1 ? transaction.recipients[0]?.mailbox.address : undefined,
        date: new Date(),
      }),
    );
    return writer;
  }

  /** Never rejects: what goes wrong is a 451 or 452, and nothing is acknowledged. */
  async store(writer: MessageWriter, transaction: Transaction, facts: SessionFacts): Promise<Verdict> {
    const startedMs = performance.now();
    const { parameters, recipients, reversePath } = transaction;
    try {
      await writer.commit({
        reversePath: reversePath.address,
        recipients: recipients.map(({ mailbox, parameters: { notify, originalRecipient }, route }) => ({
          address: mailbox.address,
          route,
          notify,
          originalRecipient,
        })),
        body: parameters.body,
        smtpUtf8: parameters.smtpUtf8,
        arrivedAtMs: Date.now(),
        listener: facts.listener.name,
        clientAddress: facts.client.address,
        clientName: facts.clientName,
        user: facts.user,
        sessionId: facts.sessionId,
        ret: parameters.ret,
        envelopeId: parameters.envelopeId,
      });
    } catch (error) {
      this.#log.error(
        { event: 'message.not-stored', sid: facts.sessionId, qid: writer.id, err: describeError(error) },
        'the message could not be written to the queue: the client was told to try again (4xx)',
      );
      return { ok: false, reply: isFull(error) ? replies.insufficientStorage : replies.localError };
    }
    this.#commitSeconds.observe((performance.now() - startedMs) / 1000);
    facts.listener.messagesAccepted.value += 1;
    facts.listener.messageBytes.value += writer.bytes;
    this.#recipients.value += recipients.length;
    this.#log.info({
      event: 'message.accepted',
      sid: facts.sessionId,
      qid: writer.id,
      listener: facts.listener.name,
      client: facts.client.address,
      ...facts.client.facts,
      ...forwardedFact(transaction.forwarded),
      helo: facts.clientName.slice(0, maxLoggedCharacters),
      from: reversePath.address.slice(0, maxLoggedCharacters),
      to: loggedAddresses(recipients.map(({ mailbox }) => mailbox.address)),
      recipients: recipients.length,
      bytes: writer.bytes,
      ...(facts.messageId === '' ? {} : { messageId: facts.messageId }),
      ...(facts.tlsVersion === '' ? {} : { tls: facts.tlsVersion }),
      ...(facts.clientCertificate === '' ? {} : { clientCert: facts.clientCertificate }),
      ...(facts.user === '' ? {} : { user: facts.user.slice(0, maxLoggedCharacters) }),
    });
    return { ok: true, reply: queuedAs(writer.id) };
  }
}
