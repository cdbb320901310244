/** PROXY headers as a proxy would send them, and as none should: every part can be said. */
import { crc32c } from '../../src/protocol/crc32c.js';

export const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

export type Tlv = readonly [type: number, value: Buffer | string];

export function tlv(type: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(3);
  head[0] = type;
  head.writeUInt16BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** @param client the bits; @param verify 0: verified */
export function sslTlv(client: number, verify: number, inside: readonly Tlv[]): Tlv {
  const head = Buffer.alloc(5);
  head[0] = client;
  head.writeUInt32BE(verify, 1);
  return [0x20, Buffer.concat([head, ...inside.map(([type, value]) => tlv(type, value))])];
}

/** Version 2 around any block. */
export function binaryHeader(block: Buffer, { versionAndCommand = 0x21, family = 0x11 } = {}): Buffer {
  const head = Buffer.alloc(4);
  head[0] = versionAndCommand;
  head[1] = family;
  head.writeUInt16BE(block.length, 2);
  return Buffer.concat([signature, head, block]);
}

/** Version 2, PROXY, TCP over IPv4: from 192.0.2.1:40000 to 198.51.100.2:25 unless said otherwise. */
export function tcp4Header(
  tlvs: readonly Tlv[] = [],
  source: readonly [number, number, number, number] = [192, 0, 2, 1],
): Buffer {
  const addresses = Buffer.from([...source, 198, 51, 100, 2, 0x9c, 0x40, 0, 25]);
  return binaryHeader(Buffer.concat([addresses, ...tlvs.map(([type, value]) => tlv(type, value))]));
}

export const localHeader = binaryHeader(Buffer.alloc(0), { versionAndCommand: 0x20, family: 0 });

/** Appends the checksum of all of it. */
export function withChecksum(header: Buffer): Buffer {
  const whole = Buffer.concat([header, tlv(0x03, Buffer.alloc(4))]);
  whole.writeUInt16BE(whole.length - 16, 14);
  const at = whole.length - 4;
  whole.writeUInt32BE(crc32c(whole, 0, whole.length, at), at);
  return whole;
}
