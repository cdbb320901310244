/**
 * One connection to a directory: the one place that loads ldapts. Sees to what a password needs of the wire: TLS before
 * the first bind, never a second connection behind its back, no more bytes than an answer has, and an end when asked.
 * What a result means for a log-in is the backend's to say.
 */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type * as ldapts from 'ldapts';
import { describeError, PosternError } from '../base/errors.js';
import { keepAliveMs } from './keep-alive.js';

/** The result of a bind, and one or two names: a thousandth of it. */
const maxAnswerBytes = 64 * 1024;

export interface LdapServer {
  readonly host: string;
  readonly port: number;
  /** ldaps, StartTLS (RFC 4511 §4.14), or nothing where the operator says so. */
  readonly tls: 'implicit' | 'starttls' | 'off';
  /** PEM of the authorities; undefined: the system's. */
  readonly ca: string | undefined;
  readonly lookup: LookupFunction;
}

/** A result code of RFC 4511 §4.1.9, other than success. */
interface LdapRefusal {
  readonly code: number;
}

export type LdapResult<T> = { readonly value: T } | LdapRefusal;

type Ldapts = typeof ldapts;

/** @throws PosternError AUTH_PACKAGE */
export async function loadLdapts(): Promise<Ldapts> {
  try {
    return await import('ldapts');
  } catch (error) {
    throw new PosternError(
      'AUTH_PACKAGE',
      'auth.backend.ldap needs the package ldapts (8.2 or later), which is not installed: `npm install ldapts` beside Postern',
      error,
    );
  }
}

export class LdapConnection {
  readonly #client: ldapts.Client;
  readonly #server: LdapServer;
  #plain: Socket | undefined;
  #secure: TLSSocket | undefined;
  #bytes = 0;
  /** What came before TLS: the answer to StartTLS. */
  #beforeTls = Buffer.alloc(0);
  #fresh = true;

  constructor({ Client }: Ldapts, server: LdapServer) {
    this.#server = server;
    this.#client = new Client({
      // ldapts reads no more of it than whether TLS comes first; where to, the two functions know.
      url: server.tls === 'implicit' ? 'ldaps://directory' : 'ldap://directory',
      createConnection: () => this.#connect(),
      createSecureConnection: () => this.#connectSecure(),
    });
  }

  /** Can be used again. A closed one cannot: ldapts would connect anew, without the TLS that was. */
  get usable(): boolean {
    return this.#client.isConnected && (this.#secure ?? this.#plain)?.destroyed === false;
  }

  /** Connects and, where it is configured, starts TLS. @throws PosternError AUTH_UNREACHABLE, AUTH_PROTOCOL */
  async open(signal: AbortSignal): Promise<void> {
    if (this.#server.tls !== 'starttls') return;
    const result = await this.#run(signal, () => this.#client.startTLS());
    if ('value' in result) return;
    this.close();
    throw new PosternError('AUTH_PROTOCOL', `ldap: it refuses StartTLS with result ${result.code}`);
  }

  /** Simple bind, RFC 4513 §5.1.3. @param password never empty: that would be a bind as nobody, which succeeds */
  bind(dn: string, password: string, signal: AbortSignal): Promise<LdapResult<void>> {
    // ldapts takes a DN that is the name of a SASL mechanism for that mechanism; none of ours is one.
    if (password === '' || !/[=@\\]/.test(dn)) throw new TypeError('a bind without a password or a name');
    return this.#run(signal, () => this.#client.bind(dn, password));
  }

  /** The DNs of at most two entries. */
  search(base: string, filter: string, signal: AbortSignal): Promise<LdapResult<string[]>> {
    return this.#run(signal, async () => {
      // '1.1': no attributes, RFC 4511 §4.5.1.8.
      const found = await this.#client.search(base, {
        scope: 'sub',
        filter,
        sizeLimit: 2,
        attributes: ['1.1'],
      });
      return found.searchEntries.map(({ dn }) => dn);
    });
  }

  close(why = 'closed by us'): void {
    const error = new Error(why);
    // With an error: while it connects, ldapts waits for one alone.
    this.#secure?.destroy(error);
    this.#plain?.destroy(error);
  }

  async #run<T>(signal: AbortSignal, operation: () => Promise<T>): Promise<LdapResult<T>> {
    const abort = (): void => this.close('no answer in time');
    signal.addEventListener('abort', abort, { once: true });
    this.#bytes = 0;
    try {
      return { value: await operation() };
    } catch (error) {
      const code = resultCode(error);
      if (code !== undefined) return { code };
      this.close();
      throw new PosternError(
        'AUTH_UNREACHABLE',
        `ldap: ${describeError(error).split('\n', 1)[0] ?? ''}`,
        error,
      );
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #connect(): Socket {
    this.#once();
    const { host, port, lookup } = this.#server;
    this.#plain = this.#bounded(connectTcp({ host, port, lookup, noDelay: true }));
    return this.#plain;
  }

  /** The whole connection, or the upgrade of the one that is there. */
  #connectSecure(): TLSSocket {
    const { host, port, ca, lookup } = this.#server;
    const trust = {
      ...(ca === undefined ? {} : { ca }),
      ...(isIP(host) === 0 ? { servername: host } : { host }),
    };
    if (this.#plain !== undefined) {
      // RFC 4511 §4.14.1: nothing may come between. ldapts would keep the beginning of a message, put in by somebody on
      // the way, and let the first answer inside TLS be its end.
      if (!isOneMessage(this.#beforeTls)) throw new Error('more than its answer came before TLS');
      this.#secure = this.#bounded(connectTls({ ...trust, socket: this.#plain }));
      return this.#secure;
    }
    this.#once();
    this.#secure = this.#bounded(connectTls({ ...trust, host, port, lookup }));
    return this.#secure;
  }

  #once(): void {
    if (!this.#fresh) throw new Error('the connection was lost');
    this.#fresh = false;
  }

  #bounded<S extends Socket>(socket: S): S {
    socket.once('connect', () => socket.setKeepAlive(true, keepAliveMs));
    socket.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes > maxAnswerBytes) this.close('its answer has no end');
      else if (socket === this.#plain && this.#server.tls === 'starttls')
        this.#beforeTls = Buffer.concat([this.#beforeTls, chunk]);
    });
    return socket;
  }
}

/** A BER SEQUENCE that ends where the bytes end (X.690 §8.1.3). */
function isOneMessage(bytes: Buffer): boolean {
  const short = bytes[1] ?? 0;
  if (short < 0x80) return bytes.length === 2 + short;
  const octets = short - 0x80;
  if (octets === 0 || octets > 4 || bytes.length < 2 + octets) return false;
  return bytes.length === 2 + octets + bytes.readUIntBE(2, octets);
}

/** The code of a result that is not success; undefined for trouble with the connection or the protocol. */
function resultCode(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}
