/**
 * Limits on guessing passwords, over all workers (A-103): failed log-ins in a minute of a client's networks and of an
 * account. Whoever logged in to the account from the same network of late is spared what others do: guessing at an
 * account, or from the same neighbourhood, keeps nobody from his mail where he reads it. Counts are Tallies', and so is
 * the merge interval; what comes in within it can pass.
 */
import { accountKey, type KnownLogins } from '../base/known-logins.js';
import { NetworkSet, networkKeys } from '../base/networks.js';

/** Of Tallies, what is used here. */
interface FailureCounts {
  isFull(kind: 'authFailures', key: string): boolean;
  count(kind: 'authFailures', key: string): void;
}

export interface LoginGuardOptions {
  readonly failures: FailureCounts;
  readonly known: KnownLogins;
  /** Networks that are neither counted nor refused. */
  readonly exempt: readonly string[];
}

/** Bounds what one period can bring to tell: beyond it a success is known here alone. */
const maxNews = 1_000;

export class LoginGuard {
  readonly #failures: FailureCounts;
  readonly #known: KnownLogins;
  readonly #exempt: NetworkSet;
  #news: string[] = [];

  constructor({ failures, known, exempt }: LoginGuardOptions) {
    this.#failures = failures;
    this.#known = known;
    this.#exempt = new NetworkSet(exempt);
  }

  /** Before anything is said: a connection to a listener where nobody comes but to log in. @param address normalized */
  refusesConnection(address: string): boolean {
    if (this.#exempt.has(address)) return false;
    const { host, neighbourhood } = networkKeys(address);
    return (this.#isFull(host) || this.#isFull(neighbourhood)) && !this.#known.knowsHost(host);
  }

  /** Before a password is looked at, the same for users and strangers. @param user as the client wrote it; '' if not at all */
  refuses(address: string, user: string): 'network' | 'account' | undefined {
    if (this.#exempt.has(address)) return undefined;
    const { host, neighbourhood } = networkKeys(address);
    const account = user === '' ? undefined : accountKey(user);
    if (account !== undefined && this.#known.knows(account, host))
      return this.#isFull(`${account} ${host}`) ? 'account' : undefined;
    if (this.#isFull(host) || this.#isFull(neighbourhood)) return 'network';
    return account !== undefined && this.#isFull(account) ? 'account' : undefined;
  }

  failed(address: string, user: string): void {
    if (this.#exempt.has(address)) return;
    const { host, neighbourhood } = networkKeys(address);
    this.#failures.count('authFailures', host);
    this.#failures.count('authFailures', neighbourhood);
    if (user === '') return;
    const account = accountKey(user);
    this.#failures.count('authFailures', account);
    // He is spared what others do, not what he does.
    if (this.#known.knows(account, host)) this.#failures.count('authFailures', `${account} ${host}`);
  }

  succeeded(address: string, user: string): void {
    if (this.#exempt.has(address) || user === '') return;
    const news = this.#known.add(accountKey(user), networkKeys(address).host);
    if (this.#news.length < maxNews) this.#news.push(...news);
  }

  /** Known since the last call; undefined when nothing is. */
  takeNews(): string[] | undefined {
    if (this.#news.length === 0) return undefined;
    const news = this.#news;
    this.#news = [];
    return news;
  }

  /** What other workers know. */
  learn(keys: readonly string[]): void {
    this.#known.learn(keys);
  }

  #isFull(key: string): boolean {
    return this.#failures.isFull('authFailures', key);
  }
}
