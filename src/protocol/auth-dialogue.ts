/**
 * AUTH and the lines of a SASL exchange, RFC 4954 §4: which mechanism, base64, cancelling, how often a client may fail.
 * Knows no mechanism's messages (sasl/) and no order of commands: the session says when which line comes, and does what
 * a step says. Made when AUTH is first used.
 */
import { replies } from './replies.js';
import { decodeBase64 } from './sasl/base64.js';
import type { SaslExchange, SaslStep } from './sasl/exchange.js';
import { newExchange } from './sasl/mechanisms.js';
import type { Mechanism, Reply, SessionOptions, Verdict } from './types.js';

const badBase64: SaslStep = { kind: 'failed', reply: replies.badBase64 };
const cancelled: SaslStep = { kind: 'failed', reply: replies.authCancelled };
const tooLong: SaslStep = { kind: 'failed', reply: replies.authLineTooLong };

export class AuthDialogue {
  /** '' until an exchange succeeded. */
  user = '';
  readonly #options: SessionOptions;
  #exchange: SaslExchange | undefined;
  /** Of the attempt that goes on; undefined once the caller has refused it. */
  #unjudged: Mechanism | undefined;
  #unjudgedFailure: Mechanism | undefined;
  #failures = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * @param name of the mechanism, as the client wrote it
   * @param initial the initial response as it came; '' where there is none
   * @returns a reply: nothing has begun, and no attempt was made
   */
  begin(name: string, initial: string): SaslStep | Reply {
    const mechanism = this.#options.mechanisms.find((known) => known === name.toUpperCase());
    if (mechanism === undefined) return replies.unknownMechanism;
    this.#exchange = newExchange(mechanism, this.#options.mechanisms);
    this.#unjudged = mechanism;
    if (initial === '') return this.#step(this.#exchange.begin(undefined));
    // RFC 4954 §4: `=` is the empty initial response.
    const response = decodeBase64(initial === '=' ? '' : initial);
    return this.#step(response === undefined ? badBase64 : this.#exchange.begin(response));
  }

  /** A continuation line, without its CRLF. */
  respond(line: string): SaslStep {
    const exchange = this.#open();
    if (line === '*') return this.#step(cancelled);
    const response = decodeBase64(line);
    return this.#step(response === undefined ? badBase64 : exchange.respond(response));
  }

  /** The caller's, to the question of the last step. */
  answer(verdict: Verdict): SaslStep {
    if (!verdict.ok) this.#unjudged = undefined;
    return this.#step(this.#open().answer(verdict));
  }

  /** A continuation line that passed its bound: nothing of it was kept. */
  respondTooLong(): SaslStep {
    return this.#step(tooLong);
  }

  /** The mechanism of the last attempt, where it failed by what the client sent and not by the caller's verdict. Once. */
  takeUnjudgedFailure(): Mechanism | undefined {
    const mechanism = this.#unjudgedFailure;
    this.#unjudgedFailure = undefined;
    return mechanism;
  }

  /** @returns true when that was one too many */
  failed(reply: Reply): boolean {
    // What is our trouble (4xx) says nothing of the client.
    return reply.code >= 500 && ++this.#failures >= this.#options.limits.authFailures;
  }

  #open(): SaslExchange {
    if (this.#exchange === undefined) throw new Error('no SASL exchange is open');
    return this.#exchange;
  }

  #step(step: SaslStep): SaslStep {
    if (step.kind === 'succeeded') this.user = step.user;
    if (step.kind === 'failed') this.#unjudgedFailure = this.#unjudged;
    if (step.kind === 'succeeded' || step.kind === 'failed') this.#exchange = undefined;
    return step;
  }
}
