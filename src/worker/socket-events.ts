/**
 * Socket events to their owner: listeners that all sockets share, the owner found on the socket, so that a connection
 * costs no closures. Knows no SMTP; the connection is the owner.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

export interface SocketOwner {
  onData(chunk: Buffer): void;
  onEnd(): void;
  onDrain(): void;
  onClose(): void;
  onError(error: Error): void;
  /** The handshake is done. */
  onSecure(): void;
}

const kOwner = Symbol('owner');
interface OwnedSocket extends Socket {
  [kOwner]?: SocketOwner;
}

export function attach(socket: OwnedSocket, owner: SocketOwner): void {
  socket[kOwner] = owner;
  socket.on('data', onData);
  socket.on('end', onEnd);
  socket.on('drain', onDrain);
  socket.on('close', onClose);
  socket.on('error', onError);
}

export function attachSecure(socket: TLSSocket, owner: SocketOwner): void {
  attach(socket, owner);
  socket.once('secure', onSecure);
  // A TLSSocket without a tls.Server tells of a record it cannot decrypt by this event alone, and reads no more.
  socket.on('_tlsError', onTlsError);
}

/** The plain socket under TLS keeps its error listener: an unheard 'error' would end the worker. */
export function detach(socket: OwnedSocket): void {
  socket.off('data', onData);
  socket.off('end', onEnd);
  socket.off('drain', onDrain);
  socket.off('close', onClose);
}

/** From one owner to the next, who attaches in the same turn. */
export function release(socket: OwnedSocket): void {
  detach(socket);
  socket.off('error', onError);
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this[kOwner]?.onData(chunk);
}
function onEnd(this: OwnedSocket): void {
  this[kOwner]?.onEnd();
}
function onDrain(this: OwnedSocket): void {
  this[kOwner]?.onDrain();
}
function onClose(this: OwnedSocket): void {
  this[kOwner]?.onClose();
}
function onError(this: OwnedSocket, error: Error): void {
  this[kOwner]?.onError(error);
}
function onSecure(this: OwnedSocket): void {
  this[kOwner]?.onSecure();
}
function onTlsError(this: OwnedSocket, error: Error): void {
  this.destroy(error);
}
