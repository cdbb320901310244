/**
 * A greeted connection to one SMTP or LMTP hop: banner, EHLO (HELO where a hop is that old) or LHLO, STARTTLS and AUTH
 * as the route wants them, then any number of transactions (delivery.ts), QUIT. Owns what the hop announced and
 * whether it may be used again; which hop and when is hop-pool's.
 */
import { PosternError } from '../base/errors.js';
import type { HopCredentials, RouteTls } from '../config/config.js';

import { authenticate } from './hop-auth.js';
import { extensionsOf, type HopExtensions } from './hop-extensions.js';
import type { HopSocket } from './hop-socket.js';
import type { HopTimeouts } from './hop-timeouts.js';
import type { HopTrust } from './hop-trust.js';
import { describeReply, type HopReply } from './last-reply.js';

export interface HopOptions {
  readonly protocol: 'smtp' | 'lmtp';
  /** As configured, or from MX: for SNI, the certificate and the log. */
  readonly host: string;
  readonly port: number;
  readonly tls: RouteTls;
  /** Of the route; asked under `verified` only. */
  readonly trust: HopTrust;
  /** What the hops of the route have taught us; shared by the connections to one hop. */
  readonly habits: HopHabits;
  /** With credentials, `opportunistic` means `required`. */
  readonly auth: HopCredentials | undefined;
  /** What we call ourselves in EHLO. */
  readonly hostname: string;
  readonly timeouts: HopTimeouts;
}

/** What one hop has shown that its EHLO reply does not say. Lives as long as its pool. */
export interface HopHabits {
  /** BDAT went wrong once, whatever the hop or something before it announces: DATA from then on. */
  avoidsChunking: boolean;
}

export class HopConnection {
  readonly socket: HopSocket;
  readonly protocol: 'smtp' | 'lmtp';
  readonly timeouts: HopTimeouts;
  readonly habits: HopHabits;
  /** `host:port`, for the log. */
  readonly name: string;
  extensions: HopExtensions = extensionsOf([]);
  secure = false;
  /** Transactions begun. */
  messages = 0;
  /** A transaction was left open: the next begins with RSET. */
  needsReset = false;
  /** The hop's 421: it closes, whatever else it says. */
  goodbye: string | undefined;

  constructor(socket: HopSocket, options: HopOptions) {
    this.socket = socket;
    this.protocol = options.protocol;
    this.timeouts = options.timeouts;
    this.habits = options.habits;
    this.name = hopName(options);
  }

  get usable(): boolean {
    return this.socket.error === undefined && this.goodbye === undefined;
  }

  /** @throws PosternError RELAY_PROTOCOL, RELAY_TIMEOUT, RELAY_TLS: the caller fails the socket. */
  async greet(options: HopOptions): Promise<void> {
    wanted(await this.reply('the connection', this.timeouts.greeting), 220, 'greeting');
    await this.#hello(options);
    if (options.tls !== 'off' && this.extensions.startTls) await this.#startTls(options);
    if (mustEncrypt(options) && !this.secure)
      throw new PosternError('RELAY_TLS', '4.7.4 the hop does not offer STARTTLS, which the route requires');
    if (options.auth !== undefined) await authenticate(this, options.auth);
  }

  /** Writes one command and waits for its reply. @throws PosternError */
  async command(line: string, phase: string, timeoutMs: number): Promise<HopReply> {
    this.socket.expect(1);
    this.socket.write(`${line}\r\n`);
    return this.reply(phase, timeoutMs);
  }

  /** The next reply that is owed. @throws PosternError */
  async reply(phase: string, timeoutMs: number): Promise<HopReply> {
    const reply = await this.socket.reply(phase, timeoutMs);
    if (reply.code === 421) this.goodbye = describeReply(reply);
    return reply;
  }

  /** Says QUIT and waits a moment for the hop to agree. Never throws: the connection is gone either way. */
  async quit(): Promise<void> {
    if (this.usable) {
      // The reply and the close race; neither matters to anybody.
      await this.command('QUIT', 'QUIT', this.timeouts.quit).then(ignore, ignore);
    }
    this.cut('the connection was ended');
  }

  cut(reason: string): void {
    this.socket.fail(new PosternError('RELAY_CONNECT', reason));
  }

  async #hello(options: HopOptions): Promise<void> {
    const { hello } = this.timeouts;
    const verb = this.protocol === 'lmtp' ? 'LHLO' : 'EHLO';
    const reply = await this.command(`${verb} ${options.hostname}`, verb, hello);
    if (reply.code === 250) {
      this.extensions = extensionsOf(reply.lines);
      return;
    }
    // RFC 5321 §3.2: HELO where EHLO is not known. LMTP knows nothing older than LHLO (RFC 2033 §4.1).
    if (verb === 'LHLO' || reply.code < 500) throw refused(reply, verb);
    wanted(await this.command(`HELO ${options.hostname}`, 'HELO', hello), 250, 'HELO');
    this.extensions = extensionsOf([]);
  }

  async #startTls(options: HopOptions): Promise<void> {
    const { startTls } = this.timeouts;
    const reply = await this.command('STARTTLS', 'STARTTLS', startTls);
    if (reply.code !== 220) {
      if (mustEncrypt(options) || this.goodbye !== undefined) throw refused(reply, 'STARTTLS');
      return;
    }
    await this.socket.upgrade(options.host, startTls, options.tls === 'verified' ? options.trust : undefined);
    this.secure = true;
    // RFC 3207 §4.2: what was said before TLS counts no more.
    await this.#hello(options);
  }
}

/** `host:port`, or `[2001:db8::1]:port`. */
export function hopName(hop: { readonly host: string; readonly port: number }): string {
  return hop.host.includes(':') ? `[${hop.host}]:${hop.port}` : `${hop.host}:${hop.port}`;
}

function mustEncrypt({ tls, auth }: HopOptions): boolean {
  return tls === 'required' || tls === 'verified' || (tls === 'opportunistic' && auth !== undefined);
}

function wanted(reply: HopReply, code: number, phase: string): void {
  if (reply.code !== code) throw refused(reply, phase);
}

function refused(reply: HopReply, phase: string): PosternError {
  return new PosternError('RELAY_PROTOCOL', `${phase}: ${describeReply(reply)}`);
}

function ignore(): void {}
