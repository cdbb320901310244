/** ClientHellos as a TLS client would send them, and as none should: every part can be said. One of OpenSSL's own too. */
import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';

export type Extension = readonly [type: number, data: Buffer];

/** With its length in front, in so many octets. */
export function vector(width: 1 | 2 | 3, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(width);
  length.writeUIntBE(bytes.length, 0, width);
  return Buffer.concat([length, bytes]);
}

/** The only entry that there is: type 0, a host name. */
export function hostName(name: string, type = 0): Buffer {
  return Buffer.concat([Buffer.from([type]), vector(2, name)]);
}

export function serverName(...entries: readonly Buffer[]): Extension {
  return [0, vector(2, Buffer.concat(entries))];
}

/** @param block in place of the extensions, with its length or without */
export function helloBody(extensions: readonly Extension[], block?: Buffer): Buffer {
  const list = extensions.map(([type, data]) => Buffer.concat([number(type), vector(2, data)]));
  return Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 0x5a),
    vector(1, Buffer.alloc(32, 0xa5)),
    vector(2, Buffer.from([0x13, 0x01, 0xc0, 0x2b])),
    vector(1, Buffer.from([0])),
    block ?? vector(2, Buffer.concat(list)),
  ]);
}

export function message(body: Buffer, type = 1): Buffer {
  return Buffer.concat([Buffer.from([type]), vector(3, body)]);
}

/** The message in records of so many octets; one record holds at most 2^14. */
export function records(bytes: Buffer, size = 2 ** 14, type = 22): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size)
    parts.push(Buffer.from([type, 3, 1]), vector(2, bytes.subarray(at, at + size)));
  return Buffer.concat(parts);
}

export function helloFor(name: string, ...more: readonly Extension[]): Buffer {
  return records(message(helloBody([...more, serverName(hostName(name))])));
}

/** What OpenSSL sends first. */
export function opensslHello(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const line = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        done();
        line.destroy();
        resolve(chunk);
      },
    });
    connect({ socket: line, ...options }).on('error', () => undefined);
  });
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
