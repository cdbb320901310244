/**
 * The log-ins of one connection: answers what a SASL exchange asks, from the checks that the worker's service has, and
 * says in the log what failed and why. Knows which user it is from then on; no token and no password leaves it.
 */
import type { Mechanism, Reply, SaslQuestion, Verdict } from '../protocol/types.js';
import { replies } from '../protocol/replies.js';
import type { AuthResult } from '../policy/login.js';
import type { ClientChannel } from './client-channel.js';
import type { Service } from './service.js';

type Question<Kind extends SaslQuestion['kind']> = Extract<SaslQuestion, { kind: Kind }>;

/** Where it comes from, for the log: with what a proxy said. */
export type LoginOrigin = {
  readonly sid: string;
  readonly listener: string;
  readonly client: string;
} & Readonly<Record<string, unknown>>;

const refused: Verdict = { ok: false, reply: replies.authFailed };
const unavailable: Verdict = { ok: false, reply: replies.authUnavailable };

// What a client says of itself is cut to this in a log line.
const loggedCharacters = 256;

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
  readonly #origin: LoginOrigin;
  readonly #channel: ClientChannel;

  constructor(service: Service, origin: LoginOrigin, channel: ClientChannel) {
    this.#service = service;
    this.#origin = origin;
    this.#channel = channel;
  }

  answer(question: SaslQuestion): Verdict | Promise<Verdict> {
    const limited = this.#limited(question.mechanism, nameIn(question));
    if (limited !== undefined) return limited;
    switch (question.kind) {
      case 'credentials':
        return this.#password(question);
      case 'scram-salt':
        return this.#salt(question);
      case 'scram-proof':
        return this.#proof(question);
      case 'token':
        return this.#token(question);
      case 'certificate':
        return this.#certificate(question);
      case 'cram-md5-challenge':
        return this.#challenge();
      case 'cram-md5-digest':
        return this.#digest(question);
    }
  }

  /** An attempt failed by what the client sent: broken off, no base64, not the mechanism's message. It counts as any. */
  failedUnasked(mechanism: Mechanism, reply: Reply): void {
    // Of SCRAM the last word is the client's: its proof was right, and it broke off.
    this.user = '';
    this.#service.meters.authTotal.of(mechanism, 'failed').value += 1;
    this.#service.loginGuard.failed(this.#origin.client, '');
    const why = faults[reply.name] ?? 'its response is none that the mechanism has';
    this.#service.log.warn({ event: 'auth.failed', ...this.#origin, mechanism, user: '', why });
  }

  async #password(question: Question<'credentials'>): Promise<Verdict> {
    const { authenticator } = this.#service;
    if (authenticator === undefined) return unavailable;
    const { mechanism, authorizationId, authenticationId, password } = question;
    const startedMs = performance.now();
    const result = await authenticator.check(mechanism, authorizationId, authenticationId, password, {
      address: this.#origin.client,
      listener: this.#origin.listener,
      sessionId: this.#origin.sid,
    });
    this.#observe(startedMs);
    return this.#verdict(result, mechanism, authenticationId);
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

  #proof(question: Question<'scram-proof'>): Verdict {
    const { scram } = this.#service.saslChecks;
    if (scram === undefined) return unavailable;
    const startedMs = performance.now();
    const result = scram.check(question);
    this.#observe(startedMs);
    const verdict = this.#verdict(result, question.mechanism, question.authenticationId);
    if (!verdict.ok || result.kind !== 'ok') return verdict;
    return { ...verdict, sasl: { kind: 'scram-signature', signature: result.signature } };
  }

  #challenge(): Verdict {
    const { cramMd5 } = this.#service.saslChecks;
    if (cramMd5 === undefined) return unavailable;
    return { ok: true, sasl: { kind: 'cram-md5-challenge', challenge: cramMd5.challenge() } };
  }

  #digest({ authenticationId, challenge, digest }: Question<'cram-md5-digest'>): Verdict {
    const { cramMd5 } = this.#service.saslChecks;
    if (cramMd5 === undefined) return unavailable;
    return this.#verdict(cramMd5.check(authenticationId, challenge, digest), 'CRAM-MD5', authenticationId);
  }

  async #token({ mechanism, authorizationId, token }: Question<'token'>): Promise<Verdict> {
    const { tokens } = this.#service.saslChecks;
    if (tokens === undefined) return unavailable;
    const startedMs = performance.now();
    const result = await tokens.check(mechanism, authorizationId, token);
    this.#observe(startedMs);
    return this.#verdict(result, mechanism, authorizationId);
  }

  #certificate({ authorizationId }: Question<'certificate'>): Verdict {
    const { certificates } = this.#service.saslChecks;
    if (certificates === undefined) return unavailable;
    const result = certificates.check(authorizationId, this.#channel.identities());
    return this.#verdict(result, 'EXTERNAL', authorizationId);
  }

  /** SCRAM's first half changes nothing; whoever succeeds is the user from now on. */
  #verdict(result: AuthResult & { readonly why?: string }, mechanism: string, name: string): Verdict {
    if (result.kind === 'ok') {
      this.user = result.user;
      this.#service.loginGuard.succeeded(this.#origin.client, name === '' ? result.user : name);
      return { ok: true, user: result.user };
    }
    const facts = {
      ...this.#origin,
      mechanism,
      user: name.slice(0, loggedCharacters),
      ...(result.why === undefined ? {} : { why: result.why }),
    };
    if (result.kind === 'failed') this.#service.loginGuard.failed(this.#origin.client, name);
    if (result.kind === 'failed') this.#service.log.warn({ event: 'auth.failed', ...facts });
    else if (result.why !== undefined) this.#service.log.error({ event: 'auth.unavailable', ...facts });
    return result.kind === 'failed' ? refused : unavailable;
  }

  /** Too many failures, of the client's network or at this account: nothing is looked at. */
  #limited(mechanism: Mechanism, user: string): Verdict | undefined {
    const { loginGuard, meters, log } = this.#service;
    const by = loginGuard.refuses(this.#origin.client, user);
    if (by === undefined) return undefined;
    meters.authTotal.of(mechanism, 'limited').value += 1;
    log.warn({
      event: 'auth.limited',
      ...this.#origin,
      mechanism,
      user: user.slice(0, loggedCharacters),
      by,
    });
    return { ok: false, reply: replies.tooManyLoginFailures };
  }

  #observe(startedMs: number): void {
    this.#service.meters.stageSeconds.of('auth').observe((performance.now() - startedMs) / 1000);
  }
}

/** Whose password is tried. Nobody guesses tokens and certificates: they are good while others guess at the user. */
function nameIn(question: SaslQuestion): string {
  return 'authenticationId' in question ? question.authenticationId : '';
}
