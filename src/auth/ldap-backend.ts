/**
 * Asks a directory by binding as the user (RFC 4513 §5.1.3): under a DN made of his name, or under the one entry that a
 * search for his name finds. Owns its connections: each does one thing at a time, and is kept for the next.
 */
import { randomBytes } from 'node:crypto';
import { PosternError, type ErrorCode } from '../base/errors.js';
import { parseNameTemplate, type NameTemplate } from '../base/name-template.js';
import type { BackendAnswer, BackendLogin } from '../policy/login.js';
import type { Backend } from './backend.js';
import { LdapConnection, loadLdapts, type LdapResult, type LdapServer } from './ldap-connection.js';
import { escapeDnValue, escapeFilterValue } from './ldap-names.js';

interface LdapSearch {
  readonly base: string;
  /** With `{user}` and the like: `(&(objectClass=person)(mail={user}))`. */
  readonly filter: string;
  /** Who searches; undefined: nobody, if the directory lets nobody search. */
  readonly account: { readonly dn: string; readonly password: string } | undefined;
}

export interface LdapOptions {
  readonly server: LdapServer;
  /** A DN with `{user}`, or a search for it. */
  readonly find: { readonly dn: string } | { readonly search: LdapSearch };
}

type Open = (signal: AbortSignal) => Promise<LdapConnection>;

/** Connections of one use. As many as the gate lets questions through. */
class Connections {
  readonly #open: Open;
  readonly #free: LdapConnection[] = [];
  readonly #all = new Set<LdapConnection>();

  constructor(open: Open) {
    this.#open = open;
  }

  /** @param work throws PosternError AUTH_UNREACHABLE when the connection is lost */
  async with<T>(signal: AbortSignal, work: (connection: LdapConnection) => Promise<T>): Promise<T> {
    const kept = this.#take();
    if (kept !== undefined) {
      try {
        return await this.#use(kept, work);
      } catch (error) {
        // One that has gone silent stands for all that are kept: a firewall has forgotten them, or the directory is gone.
        if (signal.aborted) this.#dropFree();
        // Directories close what is idle, and kept connections end with a restart: that is no outage.
        const lost = error instanceof PosternError && error.code === 'AUTH_UNREACHABLE';
        if (!lost || signal.aborted) throw error;
      }
    }
    return this.#use(await this.#open(signal), work);
  }

  close(): void {
    for (const connection of this.#all) connection.close();
  }

  async #use<T>(connection: LdapConnection, work: (connection: LdapConnection) => Promise<T>): Promise<T> {
    this.#all.add(connection);
    try {
      return await work(connection);
    } finally {
      if (connection.usable) this.#free.push(connection);
      else this.#drop(connection);
    }
  }

  /** The last one used: those of a burst that are no longer needed grow old and are closed by the directory. */
  #take(): LdapConnection | undefined {
    for (;;) {
      const connection = this.#free.pop();
      if (connection === undefined || connection.usable) return connection;
      this.#drop(connection);
    }
  }

  #dropFree(): void {
    for (const connection of this.#free.splice(0)) this.#drop(connection);
  }

  #drop(connection: LdapConnection): void {
    connection.close();
    this.#all.delete(connection);
  }
}

export class LdapBackend implements Backend {
  readonly name = 'ldap';
  readonly #find:
    | { readonly dn: NameTemplate }
    | {
        readonly filter: NameTemplate;
        readonly base: string;
        /** Below the base, where the users are, so that it takes the same way; random, so that nobody has it. */
        readonly nobody: string;
      };
  readonly #binders: Connections;
  readonly #searchers: Connections;

  private constructor(options: LdapOptions, open: Open) {
    const { find } = options;
    this.#find =
      'dn' in find
        ? { dn: template(find.dn) }
        : {
            filter: template(find.search.filter),
            base: find.search.base,
            nobody: `cn=${randomBytes(16).toString('hex')},${find.search.base}`,
          };
    this.#binders = new Connections(open);
    const account = 'search' in find ? find.search.account : undefined;
    this.#searchers = new Connections(async (signal) => {
      const connection = await open(signal);
      if (account === undefined) return connection;
      const result = await connection.bind(account.dn, account.password, signal);
      if ('value' in result) return connection;
      connection.close();
      throw refusalOf(result.code, 'the bind of auth.backend.ldap.search');
    });
  }

  /** @throws PosternError AUTH_PACKAGE */
  static async open(options: LdapOptions): Promise<LdapBackend> {
    const ldapts = await loadLdapts();
    return new LdapBackend(options, async (signal) => {
      const connection = new LdapConnection(ldapts, options.server);
      await connection.open(signal);
      return connection;
    });
  }

  async ask({ user, password }: BackendLogin, signal: AbortSignal): Promise<BackendAnswer> {
    const found = await this.#dnOf(user, signal);
    if (found === undefined) return failed;
    const { dn, isNobody } = found;
    const result = await this.#binders.with(signal, (connection) => connection.bind(dn, password, signal));
    if ('value' in result) return isNobody ? failed : { kind: 'ok', user };
    if (refusals.has(result.code)) return failed;
    throw refusalOf(result.code, 'the bind of a user');
  }

  close(): void {
    this.#binders.close();
    this.#searchers.close();
  }

  /**
   * Undefined: the name has not the form of a user's. Where none is found, or more than one, a DN of nobody: the bind that
   * follows costs a stranger what it costs a user, as far as we can see to it.
   */
  async #dnOf(user: string, signal: AbortSignal): Promise<{ dn: string; isNobody: boolean } | undefined> {
    const find = this.#find;
    const filled =
      'dn' in find ? find.dn.fill(user, escapeDnValue) : find.filter.fill(user, escapeFilterValue);
    if (filled === undefined) return undefined;
    if ('dn' in find) return { dn: filled, isNobody: false };
    const found = await this.#searchers.with(signal, (connection) =>
      connection.search(find.base, filled, signal),
    );
    const dns = orThrow(found, 'the search for a user');
    const [dn] = dns;
    // An entry without a name would be a bind as nobody, which succeeds.
    const isOne = dns.length === 1 && dn !== undefined && dn.includes('=');
    return isOne ? { dn, isNobody: false } : { dn: find.nobody, isNobody: true };
  }
}

const failed: BackendAnswer = { kind: 'failed' };

/**
 * Results that speak of the user (RFC 4511 §4.1.9 and appendix A): constraintViolation (a lock by password policy),
 * noSuchObject, invalidDNSyntax, inappropriateAuthentication (he has no password), invalidCredentials,
 * unwillingToPerform (an account that is switched off, in some directories).
 */
const refusals: ReadonlySet<number> = new Set([19, 32, 34, 48, 49, 53]);
/** timeLimitExceeded, adminLimitExceeded, busy, unavailable. */
const temporary: ReadonlySet<number> = new Set([3, 11, 51, 52]);

function refusalOf(code: number, what: string): PosternError {
  const kind: ErrorCode = temporary.has(code) ? 'AUTH_TEMPORARY' : 'AUTH_PROTOCOL';
  return new PosternError(kind, `ldap: ${what} ended with result ${code} (RFC 4511 §4.1.9)`);
}

function orThrow<T>(result: LdapResult<T>, what: string): T {
  if ('value' in result) return result.value;
  throw refusalOf(result.code, what);
}

function template(text: string): NameTemplate {
  const parsed = parseNameTemplate(text);
  if (parsed === undefined) throw new TypeError('the checks let a template without a name through');
  return parsed;
}
