/**
 * SCRAM-SHA-256 and SCRAM-SHA-1 (RFC 5802, RFC 7677), with -PLUS bound to the TLS channel by tls-exporter (RFC 9266).
 * Owns the order of the messages and what binds them to each other: nonce, header, channel. Salt, nonce, the channel's
 * bytes and the judgement of a proof are asked of the caller; the keys stay there.
 */
import { authChallenge, replies } from '../replies.js';
import type { Mechanism, ScramFamily, ScramMechanism, Verdict } from '../types.js';
import { emptyChallenge, type SaslExchange, type SaslStep } from './exchange.js';
import { badContent } from './password.js';
import {
  parseClientFinal,
  parseClientFirst,
  serverFinal,
  serverFirst,
  type BindingFlag,
  type ClientFirst,
} from './scram-messages.js';

/** The one type of channel binding that TLS 1.3 has. RFC 9266 §2. */
const bindingType = 'tls-exporter';

type State =
  | { readonly kind: 'client-first' }
  | { readonly kind: 'salt'; readonly first: ClientFirst }
  | {
      readonly kind: 'client-final';
      readonly first: ClientFirst;
      readonly nonce: string;
      readonly serverFirst: string;
      /** What `c=` has to be. */
      readonly binding: Buffer;
    }
  | { readonly kind: 'proof'; readonly authenticationId: string }
  /** The proof was right; the client still has to find ours right and say so. */
  | { readonly kind: 'confirmation'; readonly user: string };

export class ScramExchange implements SaslExchange {
  readonly #mechanism: ScramMechanism;
  readonly #family: ScramFamily;
  readonly #isPlus: boolean;
  readonly #plusAnnounced: boolean;
  #state: State = { kind: 'client-first' };

  /** @param announced all mechanisms of this session: RFC 5802 §6, a client that thinks that -PLUS is not one of them */
  constructor(mechanism: ScramMechanism, announced: readonly Mechanism[]) {
    this.#mechanism = mechanism;
    this.#isPlus = mechanism.endsWith('-PLUS');
    this.#family = mechanism.startsWith('SCRAM-SHA-256') ? 'SCRAM-SHA-256' : 'SCRAM-SHA-1';
    this.#plusAnnounced = announced.includes(`${this.#family}-PLUS`);
  }

  begin(initial: Buffer | undefined): SaslStep {
    return initial === undefined ? emptyChallenge : this.respond(initial);
  }

  respond(response: Buffer): SaslStep {
    const state = this.#state;
    switch (state.kind) {
      case 'client-first':
        return this.#clientFirst(response);
      case 'client-final':
        return this.#clientFinal(response, state);
      case 'confirmation':
        return response.length === 0
          ? { kind: 'succeeded', user: state.user, reply: replies.authenticated }
          : badContent;
      case 'salt':
      case 'proof':
        throw new Error('a response came while a question was open');
    }
  }

  answer(verdict: Verdict): SaslStep {
    const state = this.#state;
    if (!verdict.ok) return { kind: 'failed', reply: verdict.reply };
    if (state.kind === 'salt' && verdict.sasl?.kind === 'scram-salt') {
      const { salt, iterations, channelBinding } = verdict.sasl;
      const { first } = state;
      const nonce = first.nonce + verdict.sasl.nonce;
      const challenge = serverFirst(nonce, salt, iterations);
      const header = Buffer.from(first.gs2Header);
      const binding = this.#isPlus ? Buffer.concat([header, bound(channelBinding)]) : header;
      this.#state = { kind: 'client-final', first, nonce, serverFirst: challenge, binding };
      return { kind: 'challenge', reply: authChallenge(Buffer.from(challenge)) };
    }
    if (state.kind === 'proof' && verdict.sasl?.kind === 'scram-signature') {
      this.#state = { kind: 'confirmation', user: verdict.user ?? state.authenticationId };
      return { kind: 'challenge', reply: authChallenge(Buffer.from(serverFinal(verdict.sasl.signature))) };
    }
    throw new Error(`the answer to a SCRAM question in state ${state.kind} does not fit`);
  }

  #clientFirst(response: Buffer): SaslStep {
    const first = parseClientFirst(response);
    if (first === undefined || !this.#mayBind(first.flag)) return badContent;
    this.#state = { kind: 'salt', first };
    return {
      kind: 'question',
      question: {
        kind: 'scram-salt',
        mechanism: this.#mechanism,
        family: this.#family,
        authenticationId: first.authenticationId,
      },
    };
  }

  /**
   * RFC 5802 §6: `p` goes with -PLUS and nothing else does; `y` says that nobody announced -PLUS, and where we did,
   * somebody between us has cut it out of our list.
   */
  #mayBind(flag: BindingFlag): boolean {
    if (this.#isPlus) return flag.kind === 'p' && flag.name === bindingType;
    return flag.kind === 'n' || (flag.kind === 'y' && !this.#plusAnnounced);
  }

  #clientFinal(response: Buffer, state: Extract<State, { kind: 'client-final' }>): SaslStep {
    const final = parseClientFinal(response);
    if (final === undefined || final.nonce !== state.nonce || !final.binding.equals(state.binding))
      return badContent;
    const { authorizationId, authenticationId, bare } = state.first;
    this.#state = { kind: 'proof', authenticationId };
    return {
      kind: 'question',
      question: {
        kind: 'scram-proof',
        mechanism: this.#mechanism,
        family: this.#family,
        authorizationId,
        authenticationId,
        // RFC 5802 §3.
        authMessage: `${bare},${state.serverFirst},${final.withoutProof}`,
        proof: final.proof,
      },
    };
  }
}

function bound(channelBinding: Buffer | undefined): Buffer {
  if (channelBinding === undefined) throw new Error('-PLUS was announced where the channel cannot be bound');
  return channelBinding;
}
