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
import type { LoginAttempt, LoginLimit } from './login-guard.js';
import type { Service } from './service.js';

type Question<Kind extends SaslQuestion['kind']> = Extract<SaslQuestion, { kind: Kind }>;

/** For each log line: where it comes from, with what a proxy said. */
export type LoginFacts = {
  readonly sid: string;
  readonly listener: string;
  readonly client: string;
} & Readonly<Record<string, unknown>>;

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

  constructor(service: Service, facts: LoginFacts, channel: ClientChannel) {
    this.#service = service;
    this.#facts = facts;
    this.#channel = channel;
  }

  answer(question: SaslQuestion): Verdict | Promise<Verdict> {
    const attempt = this.#attemptOf(question);
    const by = this.#service.loginGuard.refuses(attempt);
    if (by !== undefined) return this.#limited(question.mechanism, attempt, by);
    try {
      const verdict = this.#check(question, attempt);
      if (!(verdict instanceof Promise)) return verdict;
      return verdict.catch((error: unknown) => this.#broken(question.mechanism, error));
    } catch (error) {
      return this.#broken(question.mechanism, error);
    }
  }

  /** An attempt failed by what the client sent: broken off, no base64, not the mechanism's message. It counts as any. */
  failedUnasked(mechanism: Mechanism, reply: Reply): void {
    // Of SCRAM the last word is the client's: its proof was right, and it broke off.
    this.user = '';
    this.#service.meters.authTotal.of(mechanism, 'failed').value += 1;
    this.#service.loginGuard.failed({ address: this.#facts.client, user: '', isGuess: false });
    const why = faults[reply.name] ?? 'its response is none that the mechanism has';
    this.#service.log.warn({ event: 'auth.failed', ...this.#facts, mechanism, user: '', why });
  }

  #check(question: SaslQuestion, attempt: LoginAttempt): Verdict | Promise<Verdict> {
    switch (question.kind) {
      case 'credentials':
        return this.#inTurn(question.mechanism, attempt, () => this.#password(question, attempt));
      case 'scram-salt':
        return this.#salt(question);
      case 'scram-proof':
        return this.#proof(question, attempt);
      case 'token':
        return this.#inTurn(question.mechanism, attempt, () => this.#token(question, attempt));
      case 'certificate':
        return this.#certificate(question, attempt);
      case 'cram-md5-challenge':
        return this.#challenge();
      case 'cram-md5-digest':
        return this.#digest(question, attempt);
    }
  }

  /** Those whose answer has to be waited for: what is checked within one turn of the event loop has no other beside it. */
  async #inTurn(
    mechanism: Mechanism,
    attempt: LoginAttempt,
    check: () => Promise<Verdict>,
  ): Promise<Verdict> {
    const turn = await this.#service.loginTurns.begin(attempt);
    if (turn.kind === 'refused') return this.#limited(mechanism, attempt, turn.by);
    if (turn.kind === 'busy') return this.#limited(mechanism, attempt, 'checks under way');
    try {
      return await check();
    } finally {
      turn.end();
    }
  }

  async #password(question: Question<'credentials'>, attempt: LoginAttempt): Promise<Verdict> {
    const { authenticator } = this.#service;
    if (authenticator === undefined) return unavailable;
    const { mechanism, authorizationId, authenticationId, password } = question;
    const startedMs = performance.now();
    const result = await authenticator.check(mechanism, authorizationId, authenticationId, password, {
      address: this.#facts.client,
      listener: this.#facts.listener,
      sessionId: this.#facts.sid,
      isKnown: this.#service.loginGuard.knows(attempt),
    });
    this.#observe(startedMs);
    return this.#verdict(result, mechanism, attempt);
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

  #proof(question: Question<'scram-proof'>, attempt: LoginAttempt): Verdict {
    const { scram } = this.#service.saslChecks;
    if (scram === undefined) return unavailable;
    const startedMs = performance.now();
    const result = scram.check(question);
    this.#observe(startedMs);
    const verdict = this.#verdict(result, question.mechanism, attempt);
    if (!verdict.ok || result.kind !== 'ok') return verdict;
    return { ...verdict, sasl: { kind: 'scram-signature', signature: result.signature } };
  }

  #challenge(): Verdict {
    const { cramMd5 } = this.#service.saslChecks;
    if (cramMd5 === undefined) return unavailable;
    return { ok: true, sasl: { kind: 'cram-md5-challenge', challenge: cramMd5.challenge() } };
  }

  #digest(question: Question<'cram-md5-digest'>, attempt: LoginAttempt): Verdict {
    const { cramMd5 } = this.#service.saslChecks;
    if (cramMd5 === undefined) return unavailable;
    const { authenticationId, challenge, digest } = question;
    return this.#verdict(cramMd5.check(authenticationId, challenge, digest), question.mechanism, attempt);
  }

  async #token(question: Question<'token'>, attempt: LoginAttempt): Promise<Verdict> {
    const { tokens } = this.#service.saslChecks;
    if (tokens === undefined) return unavailable;
    const { mechanism, authorizationId, token } = question;
    const startedMs = performance.now();
    const result = await tokens.check(mechanism, authorizationId, token);
    this.#observe(startedMs);
    return this.#verdict(result, mechanism, attempt);
  }

  #certificate({ mechanism, authorizationId }: Question<'certificate'>, attempt: LoginAttempt): Verdict {
    const { certificates } = this.#service.saslChecks;
    if (certificates === undefined) return unavailable;
    const result = certificates.check(authorizationId, this.#channel.identities());
    return this.#verdict(result, mechanism, attempt);
  }

  /** SCRAM's first half changes nothing; whoever succeeds is the user from now on. */
  #verdict(
    result: AuthResult & { readonly why?: string },
    mechanism: Mechanism,
    attempt: LoginAttempt,
  ): Verdict {
    const { loginGuard, log } = this.#service;
    if (result.kind === 'ok') {
      this.user = result.user;
      loginGuard.succeeded(attempt.address, attempt.user === '' ? result.user : attempt.user);
      return { ok: true, user: result.user };
    }
    const facts = {
      ...this.#facts,
      mechanism,
      user: attempt.user.slice(0, maxLoggedCharacters),
      ...(result.why === undefined ? {} : { why: result.why.slice(0, maxLoggedCharacters) }),
    };
    if (result.kind === 'failed') loginGuard.failed(attempt);
    if (result.kind === 'failed') log.warn({ event: 'auth.failed', ...facts });
    else if (result.why !== undefined) log.error({ event: 'auth.unavailable', ...facts });
    return result.kind === 'failed' ? refused : unavailable;
  }

  /** Too many failures, of the client's network or at this account: nothing is looked at. */
  #limited(mechanism: Mechanism, attempt: LoginAttempt, by: LoginLimit | 'checks under way'): Verdict {
    const { meters, log } = this.#service;
    meters.authTotal.of(mechanism, 'limited').value += 1;
    const user = attempt.user.slice(0, maxLoggedCharacters);
    log.warn({ event: 'auth.limited', ...this.#facts, mechanism, user, by });
    return by === 'checks under way' ? unavailable : { ok: false, reply: replies.tooManyLoginFailures };
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

  #attemptOf(question: SaslQuestion): LoginAttempt {
    const address = this.#facts.client;
    if ('authenticationId' in question) return { address, user: question.authenticationId, isGuess: true };
    // CRAM-MD5's challenge: the name comes with the answer, and is looked at then.
    if (!('authorizationId' in question)) return { address, user: '', isGuess: false };
    return { address, user: question.authorizationId, isGuess: false };
  }
}
