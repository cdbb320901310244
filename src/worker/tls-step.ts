/**
 * The step of one connection from plain text into TLS: where certificates have names, the name that the client asks for is
 * read first, and given back.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import { ClientHelloReader } from '../protocol/client-hello.js';
import { detach } from './socket-events.js';
import type { TlsDoor } from './tls-door.js';

export class TlsStep {
  readonly #door: TlsDoor;
  /** While the name is waited for. */
  #hello: ClientHelloReader | undefined;

  constructor(door: TlsDoor) {
    this.#door = door;
  }

  /** @returns undefined: `read` has to be given what comes. @param peerEnded then no hello can come */
  begin(plain: Socket, peerEnded: boolean): TLSSocket | undefined {
    if (!this.#door.hasNames || peerEnded) return this.#wrap(plain, undefined);
    this.#hello = new ClientHelloReader();
    plain.resume();
    return undefined;
  }

  /**
   * What was read of the hello, or of what is none, goes back: OpenSSL reads it from the start and has the word on it.
   * @returns as begin; undefined, too, when nothing is waited for
   */
  read(plain: Socket, chunk: Buffer): TLSSocket | undefined {
    const hello = this.#hello;
    const event = hello?.read(chunk);
    if (hello === undefined || event === undefined || event.kind === 'more') return undefined;
    this.#hello = undefined;
    plain.pause();
    plain.unshift(chunk);
    if (hello.kept.length > 0) plain.unshift(hello.kept);
    return this.#wrap(plain, event.kind === 'hello' ? event.serverName : undefined);
  }

  #wrap(plain: Socket, serverName: string | undefined): TLSSocket {
    detach(plain);
    return this.#door.wrap(plain, serverName);
  }
}
