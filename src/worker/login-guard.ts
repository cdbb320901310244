/**
 * Limits on guessing passwords, over all workers: failed log-ins in a minute of a client's networks and of an
 * account. Whoever logged in to the account from the same network of late is spared what others do: guessing at an
 * account, or from the same neighbourhood, keeps nobody from his mail where he reads it. Counts are Tallies', and so is
 * the merge interval; what comes in within it can pass. Checks without an answer yet are LoginTurns'.
 */
import { accountKey } from '../base/account-key.js';
import type { KnownLogins } from '../base/known-logins.js';
import { NetworkSet, networkKeys } from '../base/networks.js';

/** Of Tallies, what is used here. */
interface FailureCounts {
  isFull(kind: 'authFailures', key: string, more?: number): boolean;
  count(kind: 'authFailures', key: string): void;
}

export interface LoginGuardOptions {
  readonly failures: FailureCounts;
  readonly known: KnownLogins;
  /** Networks that are neither counted nor refused. */
  readonly exempt: readonly string[];
}

export interface LoginAttempt {
  /** Of the client, normalized. */
  readonly address: string;
  /** As the client wrote it; '' where it has said none. */
  readonly user: string;
  /** By a password. Tokens and certificates are good while others guess at the user, and a wrong one is no guess at him. */
  readonly isGuess: boolean;
}

/** Whose failures were too many. */
export type LoginLimit = 'host' | 'network' | 'account';

/** What an attempt has to do with the counts. */
export interface LoginKeys {
  /** As `networkKeys` has it. Undefined: nobody is limited there, and nothing remembered. */
  readonly host: string | undefined;
  /** Undefined where the client has said no name. */
  readonly account: string | undefined;
  /** He logged in from there of late, or nobody is limited there. */
  readonly isKnown: boolean;
  /** Any of them at its limit refuses it. */
  readonly watched: ReadonlyMap<string, LoginLimit>;
  /** Its failure counts on them. */
  readonly counted: readonly string[];
}

const noKeys: LoginKeys = {
  host: undefined,
  account: undefined,
  isKnown: true,
  watched: new Map(),
  counted: [],
};

export class LoginGuard {
  readonly #failures: FailureCounts;
  readonly #known: KnownLogins;
  readonly #exempt: NetworkSet;

  constructor({ failures, known, exempt }: LoginGuardOptions) {
    this.#failures = failures;
    this.#known = known;
    this.#exempt = new NetworkSet(exempt);
  }

  /** Before anything is said: a connection to a listener where nobody comes but to log in. @param address normalized */
  refusesConnection(address: string): boolean {
    if (this.#exempt.has(address)) return false;
    const { host, neighbourhood } = networkKeys(address);
    return (this.isFull(host) || this.isFull(neighbourhood)) && !this.#known.knowsHost(host);
  }

  /** What refuses it: asked before a password is looked at, the same for users and strangers. */
  limitAt({ watched }: LoginKeys): LoginLimit | undefined {
    for (const [key, by] of watched) if (this.isFull(key)) return by;
    return undefined;
  }

  failed({ counted }: LoginKeys): void {
    for (const key of counted) this.#failures.count('authFailures', key);
  }

  /** @param user as whom, where the attempt has no name */
  succeeded({ host, account }: LoginKeys, user: string): void {
    if (host !== undefined) this.#known.add(account ?? accountKey(user), host);
  }

  /** Made once for an attempt, and handed on. */
  keysOf({ address, user, isGuess }: LoginAttempt): LoginKeys {
    if (this.#exempt.has(address)) return noKeys;
    const { host, neighbourhood } = networkKeys(address);
    const account = user === '' ? undefined : accountKey(user);
    const networks = [host, neighbourhood];
    const guessed = account !== undefined && isGuess ? [account] : [];
    // Who is known is spared what others do, not what he does himself.
    const isKnown = account !== undefined && this.#known.knows(account, host);
    const whose = { host, account, isKnown };
    const own = this.#ownKey(whose, isGuess);
    if (own !== undefined)
      return { ...whose, watched: new Map([own]), counted: [...networks, ...guessed, own[0]] };
    const watched = new Map<string, LoginLimit>([
      [host, 'host'],
      [neighbourhood, 'network'],
    ]);
    for (const key of guessed) watched.set(key, 'account');
    return { ...whose, watched, counted: [...networks, ...guessed] };
  }

  /** With so many more on their way. */
  isFull(key: string, more = 0): boolean {
    return this.#failures.isFull('authFailures', key, more);
  }

  /** Of the account from there; without a name or a guess, of all such from where anybody logged in. */
  #ownKey(
    { host, account, isKnown }: Pick<LoginKeys, 'account' | 'isKnown'> & { readonly host: string },
    isGuess: boolean,
  ): [string, LoginLimit] | undefined {
    if (isKnown) return [`${account} ${host}`, 'account'];
    const isNobodys = account === undefined || !isGuess;
    return isNobodys && this.#known.knowsHost(host) ? [`${host} without a guess`, 'host'] : undefined;
  }
}
