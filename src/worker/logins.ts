/**
 * The log-ins of one connection: answers what a SASL exchange asks, from the checks that the worker's service has, and
 * says in the log what failed and why. Knows which user it is from then on; no token and no password leaves it.
 */
import { describeError } from '../base/errors.js';
import { maxLoggedCharacters } from '../base/logged-values.js';
import type { Mechanism, Reply, SaslQuestion, Verdict } from '../protocol/types.js';
import { replies } from '../protocol/replies.js';
import type { AuthResult } from '../policy/login.js';
import type { ClientChannel } from './client-channel.js';
import type { LoginKeys, LoginLimit } from './login-guard.js';
import type { Place, TurnAnswer } from './login-turns.js';
import type { Service } from './service.js';

type Question<Kind extends SaslQuestion['kind']> = Extract<SaslQuestion, { kind: Kind }>;

/** For each log line: where it comes from, with what a proxy said. */
export type LoginFacts = {
  readonly sid: string;
  readonly listener: string;
  readonly client: string;
} & Readonly<Record<string, unknown>>;

/** What is asked about, of whom, and what that has to do with the limits on guessing. */
interface Attempt {
  readonly mechanism: Mechanism;
  /** As the client wrote it; '' where it has said none. */
  readonly user: string;
  readonly keys: LoginKeys;
}

const refused: Verdict = { ok: false, reply: replies.authFailed };
const unavailable: Verdict = { ok: false, reply: replies.authUnavailable };

/** By the name of the reply. */
const faults: Readonly<Record<string, string>> = {
  badBase64: 'its response is not base64',
  authCancelled: 'the client broke it off',
  authLineTooLong: 'its response is too long',
  authNoInitialResponse: 'it came with a response that the mechanism does not begin with',
};

export class Logins {
  /** '' until a log-in succeeded. */
  user = '';
  readonly #service: Service;
  readonly #facts: LoginFacts;
  readonly #channel: ClientChannel;
  /** While it waits for its turn. */
  #place: Place | undefined;
  #hasEnded = false;

  constructor(service: Service, facts: LoginFacts, channel: ClientChannel) {
    this.#service = service;
    this.#facts = facts;
    this.#channel = channel;
  }

  answer(question: SaslQuestion): Verdict | Promise<Verdict> {
    try {
      const verdict = this.#check(question, this.#attemptOf(question));
      if (!(verdict instanceof Promise)) return verdict;
      return verdict.catch((error: unknown) => this.#broken(question.mechanism, error));
    } catch (error) {
      return this.#broken(question.mechanism, error);
    }
  }

  /** The client will send nothing more: nobody keeps others waiting for what it could not use. */
  ended(): void {
    this.#hasEnded = true;
    this.#place?.leave();
  }

  /** An attempt failed by what the client sent: broken off, no base64, not the mechanism's message. It counts as any. */
  failedUnasked(mechanism: Mechanism, reply: Reply): void {
    // Of SCRAM the last word is the client's: its proof was right, and it broke off.
    this.user = '';
    this.#service.meters.authTotal.of(mechanism, 'failed').value += 1;
    this.#service.loginGuard.failed(this.#keysOf('', false));
    const why = faults[reply.name] ?? 'its response is none that the mechanism has';
    this.#service.log.warn({ event: 'auth.failed', ...this.#facts, mechanism, user: '', why });
  }

  #check(question: SaslQuestion, attempt: Attempt): Verdict | Promise<Verdict> {
    if (question.kind === 'credentials')
      return this.#inTurn(attempt, () => this.#password(question, attempt));
    if (question.kind === 'token') return this.#inTurn(attempt, () => this.#token(question, attempt));
    // What is checked within one turn of the event loop has no other beside it.
    const by = this.#service.loginGuard.limitAt(attempt.keys);
    if (by !== undefined) return this.#limited(attempt, by);
    switch (question.kind) {
      case 'scram-salt':
        return this.#salt(question);
      case 'scram-proof':
        return this.#proof(question, attempt);
      case 'certificate':
        return this.#certificate(question, attempt);
      case 'cram-md5-challenge':
        return this.#challenge();
      case 'cram-md5-digest':
        return this.#digest(question, attempt);
    }
  }

  /** Those whose answer has to be waited for. */
  #inTurn(attempt: Attempt, check: () => Promise<Verdict>): Verdict | Promise<Verdict> {
    const turn = this.#service.loginTurns.begin(attempt.keys);
    if (turn.kind !== 'place') return this.#atTurn(turn, attempt, check);
    this.#place = turn;
    if (this.#hasEnded) turn.leave();
    return turn.answer.then((answer) => {
      this.#place = undefined;
      return this.#atTurn(answer, attempt, check);
    });
  }

  #atTurn(turn: TurnAnswer, attempt: Attempt, check: () => Promise<Verdict>): Verdict | Promise<Verdict> {
    if (turn.kind === 'refused') return this.#limited(attempt, turn.by);
    if (turn.kind === 'busy') return this.#limited(attempt, 'checks');
    return check().finally(turn.end);
  }

  async #password(question: Question<'credentials'>, attempt: Attempt): Promise<Verdict> {
    const { authenticator } = this.#service;
    if (authenticator === undefined) return unavailable;
    const { mechanism, authorizationId, authenticationId, password } = question;
    const startedMs = performance.now();
    const result = await authenticator.check(mechanism, authorizationId, authenticationId, password, {
      address: this.#facts.client,
      listener: this.#facts.listener,
      sessionId: this.#facts.sid,
      isKnown: attempt.keys.isKnown,
    });
    this.#observe(startedMs);
    return this.#verdict(result, attempt);
  }

  #salt({ mechanism, family, authenticationId }: Question<'scram-salt'>): Verdict {
    const { scram } = this.#service.saslChecks;
    if (scram === undefined) return unavailable;
    const channelBinding = this.#channel.binding();
    // The client has gone meanwhile.
    if (mechanism.endsWith('-PLUS') && channelBinding === undefined) return unavailable;
    return {
      ok: true,
      sasl: {
        kind: 'scram-salt',
        ...scram.salt(family, authenticationId),
        ...(channelBinding === undefined ? {} : { channelBinding }),
      },
    };
  }

  #proof(question: Question<'scram-proof'>, attempt: Attempt): Verdict {
    const { scram } = this.#service.saslChecks;
    if (scram === undefined) return unavailable;
    const startedMs = performance.now();
    const result = scram.check(question);
    this.#observe(startedMs);
    const verdict = this.#verdict(result, attempt);
    if (!verdict.ok || result.kind !== 'ok') return verdict;
    return { ...verdict, sasl: { kind: 'scram-signature', signature: result.signature } };
  }

  #challenge(): Verdict {
    const { cramMd5 } = this.#service.saslChecks;
    if (cramMd5 === undefined) return unavailable;
    return { ok: true, sasl: { kind: 'cram-md5-challenge', challenge: cramMd5.challenge() } };
  }

  #digest(question: Question<'cram-md5-digest'>, attempt: Attempt): Verdict {
    const { cramMd5 } = this.#service.saslChecks;
    if (cramMd5 === undefined) return unavailable;
    const { authenticationId, challenge, digest } = question;
    return this.#verdict(cramMd5.check(authenticationId, challenge, digest), attempt);
  }

  async #token(question: Question<'token'>, attempt: Attempt): Promise<Verdict> {
    const { tokens } = this.#service.saslChecks;
    if (tokens === undefined) return unavailable;
    const { mechanism, authorizationId, token } = question;
    const startedMs = performance.now();
    const result = await tokens.check(mechanism, authorizationId, token);
    this.#observe(startedMs);
    return this.#verdict(result, attempt);
  }

  #certificate({ authorizationId }: Question<'certificate'>, attempt: Attempt): Verdict {
    const { certificates } = this.#service.saslChecks;
    if (certificates === undefined) return unavailable;
    const result = certificates.check(authorizationId, this.#channel.identities());
    return this.#verdict(result, attempt);
  }

  /** SCRAM's first half changes nothing; whoever succeeds is the user from now on. */
  #verdict(result: AuthResult & { readonly why?: string }, { mechanism, user, keys }: Attempt): Verdict {
    const { loginGuard, log } = this.#service;
    if (result.kind === 'ok') {
      this.user = result.user;
      loginGuard.succeeded(keys, result.user);
      return { ok: true, user: result.user };
    }
    const facts = {
      ...this.#facts,
      mechanism,
      user: user.slice(0, maxLoggedCharacters),
      ...(result.why === undefined ? {} : { why: result.why.slice(0, maxLoggedCharacters) }),
    };
    if (result.kind === 'failed') loginGuard.failed(keys);
    if (result.kind === 'failed') log.warn({ event: 'auth.failed', ...facts });
    else if (result.why !== undefined) log.error({ event: 'auth.unavailable', ...facts });
    return result.kind === 'failed' ? refused : unavailable;
  }

  /** Too many failures, of the client's network or at this account, or checks that could be some: nothing is looked at. */
  #limited({ mechanism, user }: Attempt, by: LoginLimit | 'checks'): Verdict {
    const { meters, log } = this.#service;
    meters.authTotal.of(mechanism, 'limited').value += 1;
    const loggedUser = user.slice(0, maxLoggedCharacters);
    log.warn({ event: 'auth.limited', ...this.#facts, mechanism, user: loggedUser, by });
    return by === 'checks' ? unavailable : { ok: false, reply: replies.tooManyLoginFailures };
  }

  /** Our bug. It does not end the worker as others do: whoever can provoke it could do so again, at every worker. */
  #broken(mechanism: Mechanism, error: unknown): Verdict {
    const { meters, log } = this.#service;
    meters.authTotal.of(mechanism, 'unavailable').value += 1;
    const stack = error instanceof Error ? error.stack : undefined;
    log.error(
      { event: 'auth.broken', ...this.#facts, mechanism, err: describeError(error), stack },
      'a bug in the check of a login, which got 454: please report it',
    );
    return unavailable;
  }

  #observe(startedMs: number): void {
    this.#service.meters.stageSeconds.of('auth').observe((performance.now() - startedMs) / 1000);
  }

  #attemptOf(question: SaslQuestion): Attempt {
    const { mechanism } = question;
    const isGuess = 'authenticationId' in question;
    // CRAM-MD5's challenge: the name comes with the answer, and is looked at then.
    const named = 'authorizationId' in question ? question.authorizationId : '';
    const user = isGuess ? question.authenticationId : named;
    return { mechanism, user, keys: this.#keysOf(user, isGuess) };
  }

  #keysOf(user: string, isGuess: boolean): LoginKeys {
    return this.#service.loginGuard.keysOf({ address: this.#facts.client, user, isGuess });
  }
}
