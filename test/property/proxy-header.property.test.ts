/** A PROXY header in any pieces is the same header; any octets are a header, a fault, or the beginning of either. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProxyHeaderReader, type ProxyEvent } from '../../src/protocol/proxy-header.js';
import { binaryHeader, sslTlv, tcp4Header, tlv, withChecksum } from '../support/proxy-header.js';

const tlvs = fc.array(
  fc.tuple(
    fc.constantFrom(0x01, 0x02, 0x04, 0x05, 0x30, 0xe0),
    fc.oneof(fc.string({ maxLength: 40 }), fc.uint8Array({ maxLength: 40 }).map((octets) => Buffer.from(octets))),
  ),
  { maxLength: 6 },
); // prettier-ignore

const header = fc.oneof(
  tlvs.map((list) => tcp4Header(list)),
  tlvs.map((list) => withChecksum(tcp4Header([sslTlv(7, 0, list), ...list]))),
  fc
    .tuple(fc.ipV6(), fc.ipV6(), fc.nat(70_000), fc.nat(65_535))
    .map(([from, to, fromPort, toPort]) => Buffer.from(`PROXY TCP6 ${from} ${to} ${fromPort} ${toPort}\r\n`)),
  fc.uint8Array({ maxLength: 300 }).map((octets) => binaryHeader(Buffer.from(octets))),
  fc
    .record({ versionAndCommand: fc.nat(255), family: fc.nat(255) })
    .map((said) => binaryHeader(Buffer.concat([Buffer.alloc(36), tlv(4, 'x')]), said)),
  fc.uint8Array({ maxLength: 200 }).map((octets) => Buffer.from(octets)),
);

/** As a socket would give them: at each cut a chunk of its own. */
function readInPieces(bytes: Buffer, cuts: readonly number[]): { event: ProxyEvent; unread: Buffer } {
  const reader = new ProxyHeaderReader();
  let event: ProxyEvent = { kind: 'more' };
  let at = 0;
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  for (const end of ends) {
    if (event.kind !== 'more') break;
    event = reader.read(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  return { event, unread: bytes.subarray(at) };
}

function whatIsSaid({ event, unread }: { event: ProxyEvent; unread: Buffer }): object {
  if (event.kind !== 'header') return event;
  return { ...event, rest: Buffer.concat([event.rest, unread]).toString('latin1') };
}

test('A-111: the same in any pieces, with what follows intact', () => {
  fc.assert(
    fc.property(header, fc.string({ maxLength: 60 }), fc.array(fc.nat(400), { maxLength: 8 }), (bytes, tail, cuts) => {
      const all = Buffer.concat([bytes, Buffer.from(tail)]);
      expect(whatIsSaid(readInPieces(all, cuts))).toEqual(whatIsSaid(readInPieces(all, [])));
    }),
    { numRuns: 1_000 },
  );
}); // prettier-ignore

test('A-111: a header that lacks its last octet is not one yet', () => {
  fc.assert(
    fc.property(header, (bytes) => {
      const whole = new ProxyHeaderReader().read(bytes);
      fc.pre(whole.kind === 'header' && whole.rest.length === 0);
      expect(new ProxyHeaderReader().read(bytes.subarray(0, -1))).toEqual({ kind: 'more' });
    }),
    { numRuns: 300 },
  );
});
