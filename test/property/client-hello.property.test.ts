/** Any octets are a hello, none, or the beginning of either; in any pieces the same; and the name is the one that OpenSSL reads. */
import { readFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientHelloReader, type HelloEvent } from '../../src/protocol/client-hello.js';
import {
  helloBody,
  hostName,
  message,
  opensslHello,
  records,
  serverName,
  type Extension,
} from '../support/client-hello.js';
import { testCertificate } from '../support/postern.js';

const names = fc.oneof(fc.domain(), fc.constantFrom('', 'a', 'mx.example.test', 'x\0y', 'a'.repeat(256)));
const extension: fc.Arbitrary<Extension> = fc.oneof(
  names.map((name) => serverName(hostName(name))),
  fc.array(names, { maxLength: 3 }).map((list) => serverName(...list.map((name) => hostName(name)))),
  fc.tuple(fc.nat(60), fc.uint8Array({ maxLength: 40 })).map(([type, data]): Extension => [type, Buffer.from(data)]),
); // prettier-ignore

const hello = fc
  .tuple(fc.array(extension, { maxLength: 6 }), fc.oneof(fc.integer({ min: 1, max: 80 }), fc.constant(2 ** 14)))
  .map(([list, recordBytes]) => records(message(helloBody(list)), recordBytes)); // prettier-ignore

/** Some octets of it are others. */
function damaged(whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(whole, fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 3 }))
    .map(([bytes, changes]) => {
      const changed = Buffer.from(bytes);
      for (const [at, octet] of changes) changed[at % changed.length] = octet;
      return changed;
    });
}

const anything = fc.oneof(
  hello,
  damaged(hello),
  fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets)),
  fc.uint8Array({ maxLength: 300 }).map((octets) => records(Buffer.from(octets), 100)),
);

interface Reading {
  readonly event: HelloEvent;
  /** All that it was given, as it is handed on. */
  readonly handedOn: Buffer;
}

/** As a socket would give them: at each cut a chunk of its own, until there is no more to be asked. */
function readInPieces(bytes: Buffer, cuts: readonly number[]): Reading {
  const reader = new ClientHelloReader();
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  let at = 0;
  let event: HelloEvent = { kind: 'more' };
  let last = Buffer.alloc(0);
  for (const end of ends) {
    last = Buffer.from(bytes.subarray(at, end));
    at = end;
    event = reader.read(last);
    if (event.kind !== 'more') break;
    last = Buffer.alloc(0);
  }
  return { event, handedOn: Buffer.concat([reader.kept, last, bytes.subarray(at)]) };
}

test('RFC 6066 §3: the same name in any pieces, and no octet lost', () => {
  fc.assert(
    fc.property(anything, fc.string({ maxLength: 60 }), fc.array(fc.nat(900), { maxLength: 8 }), (bytes, tail, cuts) => {
      const all = Buffer.concat([bytes, Buffer.from(tail)]);
      const pieces = readInPieces(all, cuts);
      expect(pieces.event).toEqual(readInPieces(all, []).event);
      expect(Buffer.compare(pieces.handedOn, all)).toBe(0);
    }),
    { numRuns: 2_000 },
  );
}); // prettier-ignore

describe('RFC 6066 §3: beside OpenSSL', () => {
  const secureContext = createSecureContext({
    cert: readFileSync(testCertificate.certificate),
    key: readFileSync(testCertificate.key),
  });

  /** The name that its server side asks a certificate for; undefined where it does not come to that. */
  function nameForOpenssl(bytes: Buffer): Promise<string | undefined> {
    return new Promise((resolve) => {
      let name: string | undefined;
      const settle = (): void => {
        resolve(name);
        socket.destroy();
      };
      // Its first word is its own hello or an alert: by then it has asked.
      const line = new Duplex({ read: () => undefined, write: settle });
      const socket = new TLSSocket(line, {
        isServer: true,
        secureContext,
        SNICallback: (asked, done) => {
          name = asked;
          done(null);
        },
      });
      for (const end of ['error', '_tlsError', 'end', 'close']) socket.on(end, settle);
      socket.resume();
      line.push(bytes);
      line.push(null);
    });
  }

  /** A name of OpenSSL's is ours; where it asks for none we may have read one of a hello that it refuses. */
  async function compare(bytes: Buffer): Promise<boolean> {
    const theirs = await nameForOpenssl(bytes);
    if (theirs === undefined) return false;
    const { event } = readInPieces(bytes, []);
    expect(event).toEqual({ kind: 'hello', serverName: theirs });
    return true;
  }

  test('what is no hello of a client that could go on', async () => {
    await fc.assert(
      fc.asyncProperty(anything, async (bytes) => {
        await compare(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test('its own hello, damaged, in records of any size', async () => {
    const whole = await opensslHello({ servername: 'mx.example.test', ALPNProtocols: ['smtp'] });
    let named = 0;
    const pieces = fc.integer({ min: 1, max: 600 }).map((size) => records(whole.subarray(5), size));
    await fc.assert(
      fc.asyncProperty(fc.oneof(pieces, damaged(pieces), damaged(fc.constant(whole))), async (bytes) => {
        if (await compare(bytes)) named++;
      }),
      { numRuns: 500 },
    );
    expect(named).toBeGreaterThan(100);
  });
});
