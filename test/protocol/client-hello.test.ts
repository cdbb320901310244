/** Which name a ClientHello asks for: tables of good and broken ones, and the same in any pieces and records. */
import { describe, expect, test } from 'vitest';
import { ClientHelloReader, type HelloEvent } from '../../src/protocol/client-hello.js';
import {
  helloBody,
  helloFor,
  hostName,
  message,
  opensslHello,
  records,
  serverName,
  vector,
  type Extension,
} from '../support/client-hello.js';

const alpn: Extension = [16, vector(2, vector(1, 'smtp'))];
const empty: Extension = [23, Buffer.alloc(0)];
const mx = hostName('mx.example.test');

function read(bytes: Buffer): HelloEvent {
  return new ClientHelloReader().read(bytes);
}

/** Each piece in memory of its own. @returns what came of it; what was kept and the last piece, which must be all so far */
function readInPieces(pieces: readonly Buffer[]): HelloEvent {
  const reader = new ClientHelloReader();
  let sofar = Buffer.alloc(0);
  for (const piece of pieces) {
    const event = reader.read(Buffer.from(piece));
    if (event.kind !== 'more') {
      expect(Buffer.compare(reader.kept, sofar)).toBe(0);
      return event;
    }
    sofar = Buffer.concat([sofar, piece]);
    expect(Buffer.compare(reader.kept, sofar)).toBe(0);
  }
  return { kind: 'more' };
}

function octets(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}

function asking(serverName: string | undefined): HelloEvent {
  return { kind: 'hello', serverName };
}

function hello(extensions: readonly Extension[], block?: Buffer): Buffer {
  return records(message(helloBody(extensions, block)));
}

/** A hello of so many octets with the header of its only record. */
function helloOf(count: number): Buffer {
  const bare = message(helloBody([serverName(mx), [21, Buffer.alloc(0)]])).length;
  return message(helloBody([serverName(mx), [21, Buffer.alloc(count - 5 - bare)]]));
}

const other: HelloEvent = { kind: 'other' };
const more: HelloEvent = { kind: 'more' };

const good = helloFor('mx.example.test');
/** The hello with one octet changed. */
function changed(at: number, octet: number): Buffer {
  const bytes = Buffer.from(good);
  bytes[at] = octet;
  return bytes;
}

describe('RFC 6066 §3: the name is read of a hello', () => {
  test.each<[string, Buffer, string | undefined]>([
    ['that has nothing else', helloFor('mx.example.test'), 'mx.example.test'],
    ['in a record of any version', changed(1, 0), 'mx.example.test'],
    ['with others behind it', hello([serverName(mx), alpn, empty]), 'mx.example.test'],
    ['with others before it', hello([empty, alpn, serverName(mx)]), 'mx.example.test'],
    ['as it is written', helloFor('MX.Example.test.'), 'MX.Example.test.'],
    ['of 255 octets', helloFor('a'.repeat(255)), 'a'.repeat(255)],
    ['that is no host name', helloFor('*.\u00e9 x'), '*.\u00c3\u00a9 x'],
    ['without it', hello([alpn, empty]), undefined],
    ['with no extension in the list', hello([]), undefined],
    ['without a list, as before TLS 1.3', hello([], Buffer.alloc(0)), undefined],
  ])('%s', (_, bytes, name) => {
    expect(read(bytes)).toEqual(asking(name));
    expect(readInPieces(octets(bytes))).toEqual(asking(name));
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('that OpenSSL makes, %s', async (version) => {
    const options = { minVersion: version, maxVersion: version, ALPNProtocols: ['smtp'] };
    const named = await opensslHello({ ...options, servername: 'mx.example.test' });
    expect(read(named)).toEqual(asking('mx.example.test'));
    expect(readInPieces(octets(named))).toEqual(asking('mx.example.test'));
    expect(read(await opensslHello(options))).toEqual(asking(undefined));
  });

  test('with more behind it, as one who will not wait sends', () => {
    expect(read(Buffer.concat([helloFor('a.test'), Buffer.from('EHLO t\r\n')]))).toEqual(asking('a.test'));
  });
});

describe('RFC 8446 §5.1: in pieces it is the same', () => {
  const whole = message(helloBody([alpn, serverName(mx)]));

  test('in two chunks, cut anywhere', () => {
    const bytes = records(whole);
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(readInPieces([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(asking('mx.example.test'));
  });

  test('in two records, parted anywhere, in two chunks, cut anywhere', () => {
    for (let part = 1; part < whole.length; part++) {
      const bytes = Buffer.concat([records(whole.subarray(0, part)), records(whole.subarray(part))]);
      for (let cut = 0; cut <= bytes.length; cut++) {
        const reader = new ClientHelloReader();
        const first = reader.read(bytes.subarray(0, cut));
        expect(first).toEqual(cut === bytes.length ? asking('mx.example.test') : more);
        if (first.kind === 'more')
          expect(reader.read(bytes.subarray(cut))).toEqual(asking('mx.example.test'));
      }
    }
  });

  test.each([1, 2, 3, 4, 5, 7, 50])('in records of %d octets, byte by byte', (size) => {
    expect(readInPieces(octets(records(whole, size)))).toEqual(asking('mx.example.test'));
  });

  test('it is not there before its last octet is', () => {
    const bytes = records(whole, 60);
    for (let length = 0; length < bytes.length; length++)
      expect(read(bytes.subarray(0, length)).kind).toBe('more');
  });
});

describe('OpenSSL has the word on', () => {
  const list = vector(2, Buffer.concat([Buffer.from([0, 0]), vector(2, serverName(mx)[1])]));

  test.each<[string, Buffer]>([
    ['plaintext', Buffer.from('EHLO t\r\n')],
    ['an alert', records(Buffer.from([2, 40]), 2, 21)],
    ['a hello of SSL 2', Buffer.from('802e0100020015', 'hex')],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0])],
    ['a record that is too long', Buffer.from([22, 3, 1, 0x40, 1])],
    ['a message of another type', records(message(helloBody([serverName(mx)]), 2))],
    [
      'a record of another type in its middle',
      Buffer.concat([records(message(helloBody([])).subarray(0, 9)), Buffer.from([20])]),
    ],
    ['the end of it before its random', records(message(Buffer.alloc(33)))],
    ['a session id beyond the end', changed(5 + 4 + 34, 255)],
    ['extensions beyond the end', hello([], Buffer.from([0, 9, 0, 0, 0, 0]))],
    ['octets behind the extensions', hello([], Buffer.concat([list, Buffer.alloc(1)]))],
    ['a stray octet in place of extensions', hello([], Buffer.alloc(1))],
    ['half an extension', hello([], vector(2, Buffer.from([0, 0, 0])))],
    ['an extension beyond the list', hello([], vector(2, Buffer.from([0, 1, 0, 1])))],
    ['two extensions with names', hello([serverName(mx), serverName(mx)])],
    ['two names in one', hello([serverName(mx, hostName('b.test'))])],
    ['no name in the list', hello([serverName()])],
    ['no list', hello([[0, Buffer.alloc(0)]])],
    ['octets behind the list', hello([[0, Buffer.concat([serverName(mx)[1], Buffer.alloc(1)])]])],
    ['a list beyond its end', hello([[0, Buffer.from([0, 9, 0])]])],
    ['a name beyond the list', hello([[0, vector(2, Buffer.from([0, 0, 9, 0x61]))]])],
    ['a name of another type', hello([serverName(hostName('mx.example.test', 1))])],
    ['a name of nothing', helloFor('')],
    ['a name with a NUL', helloFor('mx.example.test\0.x.test')],
    ['a name of 256 octets', helloFor('a'.repeat(256))],
  ])('%s', (_, bytes) => {
    expect(read(bytes)).toEqual(other);
    expect(readInPieces(octets(bytes))).toEqual(other);
  });

  test('what begins as no record, at its first octet', () => {
    for (let octet = 0; octet < 256; octet++)
      expect(read(Buffer.from([octet]))).toEqual(octet === 22 ? more : other);
  });
});

describe('the bound', () => {
  const maxBytes = 5 + 2 ** 14;
  test('is a hello that fills its record', () => {
    const bytes = records(helloOf(maxBytes));
    expect(bytes).toHaveLength(maxBytes);
    expect(read(bytes)).toEqual(asking('mx.example.test'));
    expect(readInPieces([bytes.subarray(0, 1), bytes.subarray(1)])).toEqual(asking('mx.example.test'));
  });

  test.each<[string, Buffer]>([
    ['one octet more', records(helloOf(maxBytes + 1))],
    ['the same in two records', records(helloOf(maxBytes), 2 ** 13)],
    ['a tenth of it in records of one octet', records(helloOf(maxBytes / 5), 1)],
  ])('is passed by %s', (_, bytes) => {
    expect(read(bytes)).toEqual(other);
    const pieces = [bytes.subarray(0, 4000), bytes.subarray(4000, 9000), bytes.subarray(9000)];
    expect(readInPieces(pieces)).toEqual(other);
  });

  test('is told by a length before the octets come', () => {
    expect(read(records(Buffer.from([1, 0, 0x40, 2])))).toEqual(other);
    expect(read(records(Buffer.from([1, 0, 0x40, 1])))).toEqual(more);
  });

  test('A-025: holds for what is kept of a hello without an end', () => {
    const reader = new ClientHelloReader();
    const endless = records(message(Buffer.alloc(16_000)), 100);
    let event: HelloEvent = more;
    let at = 0;
    for (; event.kind === 'more' && at < endless.length; at += 1000) {
      event = reader.read(endless.subarray(at, at + 1000));
      expect(reader.kept.length).toBeLessThan(maxBytes);
    }
    expect(event).toEqual(other);
    expect(at).toBeLessThan(maxBytes + 1000);
  });
});
