/** What is a PROXY header and what only looks like one: tables of both, and the same in any pieces. */
import { describe, expect, test } from 'vitest';
import { crc32c } from '../../src/protocol/crc32c.js';
import { canonicalAddress } from '../../src/protocol/ip-address.js';
import { ProxyHeaderReader, type ProxyEvent } from '../../src/protocol/proxy-header.js';
import {
  binaryHeader,
  localHeader,
  signature,
  sslTlv,
  tcp4Header,
  tlv,
  withChecksum,
} from '../support/proxy-header.js';

function read(header: Buffer | string): ProxyEvent {
  return new ProxyHeaderReader().read(Buffer.from(header));
}

/** In single bytes; the header's end and the bytes behind it come in one chunk. */
function readBytewise(header: Buffer | string): ProxyEvent {
  const reader = new ProxyHeaderReader();
  const bytes = Buffer.from(header);
  let event: ProxyEvent = { kind: 'more' };
  for (let at = 0; at < bytes.length && event.kind === 'more'; at++)
    event = reader.read(Buffer.from(bytes.subarray(at, at + 1)));
  return event;
}

const ipv6Block = Buffer.concat([
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from('20010db8000000010000000000000002', 'hex'),
  Buffer.from([0x9c, 0x40, 0, 25]),
]);

function proxied(source: string, port: number, destination: string, toPort: number, facts = {}): object {
  return {
    kind: 'proxied',
    source: { address: source, port },
    destination: { address: destination, port: toPort },
    facts,
  };
}
const tcp4 = (facts = {}): object => proxied('192.0.2.1', 40_000, '198.51.100.2', 25, facts);

describe('a header is', () => {
  test.each<[string, Buffer | string, object]>([
    ['TCP4', 'PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n', tcp4()],
    [
      'TCP6, its addresses in one spelling',
      'PROXY TCP6 2001:DB8:0:0:0:0:0:1 2001:db8::1:0:0:2 1 65535\r\n',
      proxied('2001:db8::1', 1, '2001:db8::1:0:0:2', 65_535),
    ],
    [
      'TCP6 of a mapped IPv4 address, which is that host',
      'PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 40000 25\r\n',
      tcp4(),
    ],
    ['port 0', 'PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n', proxied('192.0.2.1', 0, '198.51.100.2', 0)],
    ['UNKNOWN', 'PROXY UNKNOWN\r\n', { kind: 'local' }],
    [
      'UNKNOWN of 107 octets, whatever it says',
      `PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`,
      { kind: 'local' },
    ],
    ['LOCAL', localHeader, { kind: 'local' }],
    [
      'LOCAL of any family, its block skipped',
      binaryHeader(Buffer.alloc(99, 0xff), { versionAndCommand: 0x20, family: 0x99 }),
      { kind: 'local' },
    ],
    ['of no family', binaryHeader(Buffer.alloc(7), { family: 0 }), { kind: 'local' }],
    [
      'AF_UNIX, which has no IP address',
      binaryHeader(Buffer.alloc(216), { family: 0x31 }),
      { kind: 'local' },
    ],
    ['TCP over IPv4', tcp4Header(), tcp4()],
    [
      'TCP over IPv6',
      binaryHeader(ipv6Block, { family: 0x21 }),
      proxied('2001:db8::1', 40_000, '2001:db8:0:1::2', 25),
    ],
    [
      'with a checksum that fits',
      withChecksum(tcp4Header([[0x02, 'mx.test']])),
      tcp4({ authority: 'mx.test' }),
    ],
    [
      'with NOOPs and unknown types, which are skipped',
      tcp4Header([[0x04, ''], [0x04, 'xx'], [0xe0, Buffer.alloc(300)], [0xe0, ''], [0xee, '\0']]), // prettier-ignore
      tcp4(),
    ],
    [
      'with what the client said inside TLS',
      tcp4Header([
        [0x01, 'smtp'],
        [0x02, 'mx.example.org'],
        [0x05, 'a1b2-c3'],
        [0x30, 'blue'],
        sslTlv(7, 0, [[0x21, 'TLSv1.3'], [0x22, 'Jürgen'], [0x23, 'TLS_AES_128_GCM_SHA256'], [0x24, 'RSA']]),
      ]), // prettier-ignore
      tcp4({
        alpn: 'smtp',
        authority: 'mx.example.org',
        uniqueId: 'a1b2-c3',
        namespace: 'blue',
        tls: {
          version: 'TLSv1.3',
          cipher: 'TLS_AES_128_GCM_SHA256',
          verified: true,
          commonName: 'Jürgen',
        },
      }),
    ],
    [
      'with a certificate that did not verify',
      tcp4Header([sslTlv(3, 20, [[0x21, 'TLSv1.2'], [0x22, 'x']])]), // prettier-ignore
      tcp4({ tls: { version: 'TLSv1.2', verified: false, commonName: 'x' } }),
    ],
    [
      'without a certificate, for which 0 means nothing',
      tcp4Header([sslTlv(1, 0, [[0x21, 'TLSv1.2']])]),
      tcp4({ tls: { version: 'TLSv1.2', verified: false } }),
    ],
    ['with SSL that the client did not use', tcp4Header([sslTlv(0, 0, [])]), tcp4()],
    ['with an id of octets', tcp4Header([[0x05, Buffer.from('00ff', 'hex')]]), tcp4({ uniqueId: '00ff' })],
    ['with empty values', tcp4Header([[0x01, ''], [0x02, ''], [0x05, '']]), tcp4()], // prettier-ignore
    ['4096 octets behind its first 16', tcp4Header([[0x04, Buffer.alloc(4096 - 15)]]), tcp4()],
  ])('%s', (_, bytes, header) => {
    const event = { kind: 'header', header, rest: Buffer.alloc(0) };
    expect(read(bytes)).toEqual(event);
    expect(readBytewise(bytes)).toEqual(event);
  });
});

const addresses = '192.0.2.1 198.51.100.2';

function line(rest: string): string {
  return `PROXY ${rest}\r\n`;
}

describe('A-111: no header is', () => {
  test.each<[string, Buffer | string, string]>([
    ['SMTP', 'EHLO client.test\r\n', 'missing'],
    ['a ClientHello', Buffer.from('16030100', 'hex'), 'missing'],
    ['HTTP', 'GET / HTTP/1.1\r\n', 'missing'],
    ['lower case', 'proxy TCP4', 'missing'],
    ['another word', 'PROXYS ', 'missing'],
    ['a blank before it', ' PROXY TCP4', 'missing'],
    ['a signature with another octet', Buffer.from('0d0a0d0a000d0a5155495420', 'hex'), 'missing'],
    ['CR LF alone', '\r\nEHLO t\r\n', 'missing'],
    ['a line of 108 octets', `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, 'too-long'],
    ['a line without an end', `PROXY TCP4 ${'1'.repeat(97)}`, 'too-long'],
    ['a line that LF ends', `PROXY TCP4 ${addresses} 1 25\n`, 'bad-line'],
    ['a line with CR in it', `PROXY UNKNOWN \r \r\n`, 'bad-line'],
    ['a line with NUL in it', line('UNKNOWN \0'), 'bad-line'],
    ['a line with a tab', `PROXY TCP4\t${addresses} 1 25\r\n`, 'bad-line'],
    ['a line with 8-bit octets', line('UNKNOWN é'), 'bad-line'],
    ['nothing behind PROXY', line(''), 'bad-family'],
    ['UDP4', line(`UDP4 ${addresses} 1 25`), 'bad-family'],
    ['UNKNOWNS', line('UNKNOWNS'), 'bad-family'],
    ['tcp4', line(`tcp4 ${addresses} 1 25`), 'bad-family'],
    ['two spaces', line(`TCP4  ${addresses} 1 25`), 'bad-line'],
    ['a space at the end', line(`TCP4 ${addresses} 1 25 `), 'bad-line'],
    ['a word too few', line(`TCP4 ${addresses} 1`), 'bad-line'],
    ['a word too many', line(`TCP4 ${addresses} 1 25 x`), 'bad-line'],
    ['port 65536', line(`TCP4 ${addresses} 65536 25`), 'bad-address'],
    ['port -1', line(`TCP4 ${addresses} -1 25`), 'bad-address'],
    ['port 0x19', line(`TCP4 ${addresses} 1 0x19`), 'bad-address'],
    ['port 025', line(`TCP4 ${addresses} 1 025`), 'bad-address'],
    ['port +25', line(`TCP4 ${addresses} 1 +25`), 'bad-address'],
    ['port 1e3', line(`TCP4 ${addresses} 1e3 25`), 'bad-address'],
    ['IPv4 in TCP6', line(`TCP6 ${addresses} 1 25`), 'bad-address'],
    ['IPv6 in TCP4', line('TCP4 2001:db8::1 2001:db8::2 1 25'), 'bad-address'],
    ['leading zeros', line('TCP4 192.0.02.1 198.51.100.2 1 25'), 'bad-address'],
    ['256 in an address', line('TCP4 192.0.2.256 198.51.100.2 1 25'), 'bad-address'],
    ['three numbers', line('TCP4 192.0.2 198.51.100.2 1 25'), 'bad-address'],
    ['a zone', line('TCP6 fe80::1%eth0 2001:db8::2 1 25'), 'bad-address'],
    ['two ::', line('TCP6 2001::1::2 2001:db8::2 1 25'), 'bad-address'],
    ['brackets', line('TCP6 [2001:db8::1] 2001:db8::2 1 25'), 'bad-address'],
    ['a host name', line('TCP4 localhost 198.51.100.2 1 25'), 'bad-address'],
    ['version 1 in binary', binaryHeader(Buffer.alloc(12), { versionAndCommand: 0x11 }), 'bad-version'],
    ['version 3', binaryHeader(Buffer.alloc(12), { versionAndCommand: 0x31 }), 'bad-version'],
    ['command 2', binaryHeader(Buffer.alloc(12), { versionAndCommand: 0x22 }), 'bad-command'],
    ['length 65535', Buffer.concat([signature, Buffer.from('2111ffff', 'hex')]), 'too-long'],
    ['length 4097', Buffer.concat([signature, Buffer.from('21111001', 'hex')]), 'too-long'],
    ['LOCAL of length 65535', Buffer.concat([signature, Buffer.from('2000ffff', 'hex')]), 'too-long'],
    ['UDP', binaryHeader(Buffer.alloc(12), { family: 0x12 }), 'bad-family'],
    ['an AF_UNIX datagram', binaryHeader(Buffer.alloc(216), { family: 0x32 }), 'bad-family'],
    ['IPv4 of no transport', binaryHeader(Buffer.alloc(12), { family: 0x10 }), 'bad-family'],
    ['a family that there is not', binaryHeader(Buffer.alloc(12), { family: 0x41 }), 'bad-family'],
    ['IPv4 in 11 octets', binaryHeader(Buffer.alloc(11)), 'bad-address'],
    ['IPv6 in 35 octets', binaryHeader(Buffer.alloc(35), { family: 0x21 }), 'bad-address'],
    ['AF_UNIX in 215 octets', binaryHeader(Buffer.alloc(215), { family: 0x31 }), 'bad-address'],
    ['a TLV of two octets', binaryHeader(Buffer.concat([Buffer.alloc(12), Buffer.from([4, 0])])), 'bad-tlv'],
    ['a TLV beyond the block', binaryHeader(Buffer.concat([Buffer.alloc(12), Buffer.from([4, 0, 1])])), 'bad-tlv'],
    ['two names', tcp4Header([[0x02, 'a'], [0x02, 'b']]), 'bad-tlv'],
    ['a name with a line end', tcp4Header([[0x02, 'a\r\nb']]), 'bad-tlv'],
    ['a name that is no UTF-8', tcp4Header([[0x02, Buffer.from([0xc3, 0x28])]]), 'bad-tlv'],
    ['a name of 256 octets', tcp4Header([[0x02, 'x'.repeat(256)]]), 'bad-tlv'],
    ['an id of 129 octets', tcp4Header([[0x05, 'x'.repeat(129)]]), 'bad-tlv'],
    ['a checksum of three octets', tcp4Header([[0x03, 'xxx']]), 'bad-checksum'],
    ['a checksum of something else', tcp4Header([[0x03, 'xxxx']]), 'bad-checksum'],
    ['SSL of four octets', tcp4Header([[0x20, 'xxxx']]), 'bad-tlv'],
    ['a TLV beyond SSL', tcp4Header([[0x20, Buffer.from('010000000021ffff', 'hex')]]), 'bad-tlv'],
    ['a name with a control character', tcp4Header([sslTlv(3, 0, [[0x22, 'a\x1bb']])]), 'bad-tlv'],
  ])('%s', (_, bytes, fault) => {
    expect(read(bytes)).toEqual({ kind: 'fault', fault });
    expect(readBytewise(bytes)).toEqual({ kind: 'fault', fault });
  }); // prettier-ignore
});

test('one wrong bit anywhere in a header with a checksum makes it none', () => {
  const header = withChecksum(tcp4Header([[0x02, 'mx.test'], sslTlv(1, 1, [[0x21, 'TLSv1.3']])]));
  for (let bit = 16 * 8; bit < header.length * 8; bit++) {
    const wrong = Buffer.from(header);
    wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const event = read(wrong);
    // The one way around a checksum: another type or length hides it, or makes the block unreadable.
    if (event.kind === 'header') expect(checksumIsGone(wrong), `bit ${bit}`).toBe(true);
  }
});

function checksumIsGone(header: Buffer): boolean {
  for (let at = 28; at + 3 <= header.length; at += 3 + header.readUInt16BE(at + 1)) {
    if (header[at] === 0x03) return false;
  }
  return true;
}

test('A-112: what comes behind the header in the same segment is given back, and no more', () => {
  const rest = 'EHLO client.test\r\nMAIL FROM:<a@x.test>\r\n';
  const headers = [Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 1 25\r\n'), tcp4Header(), localHeader];
  for (const header of headers) {
    const event = read(Buffer.concat([header, Buffer.from(rest)]));
    expect(event.kind === 'header' && event.rest.toString()).toBe(rest);
  }
});

test('a reader keeps no more than a header, and says whether anything came', () => {
  const reader = new ProxyHeaderReader();
  expect(reader.isEmpty).toBe(true);
  expect(reader.read(Buffer.alloc(0))).toEqual({ kind: 'more' });
  expect(reader.isEmpty).toBe(true);
  expect(reader.read(Buffer.from('PROX'))).toEqual({ kind: 'more' });
  expect(reader.isEmpty).toBe(false);
});

function checksum(bytes: Buffer): number {
  return crc32c(bytes, 0, bytes.length, bytes.length);
}

test('the checksum is CRC32C: RFC 3720 appendix B.4 and the usual check value', () => {
  expect(checksum(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(checksum(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(checksum(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.alloc(32, 0xff), 0, 32, 28)).toBe(
    checksum(Buffer.concat([Buffer.alloc(28, 0xff), Buffer.alloc(4)])),
  );
});

test.each([
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['2001:0DB8::0001', '2001:db8::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
])('RFC 5952: %s is written %s', (text, canonical) => {
  expect(canonicalAddress(text, 'ipv6')).toBe(canonical);
});

test('a TLV says what it holds', () => {
  expect(tlv(2, 'ab')).toEqual(Buffer.from('0200026162', 'hex'));
});
