/** CRC32C (Castagnoli), RFC 3720 appendix B.4: the checksum that a PROXY header may carry. Pure. */

// 0x1edc6f41 with its bits reversed.
const polynomial = 0x82f63b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  return value;
});

/** @param zerosAt the four octets from here count as zero: the checksum's own place */
export function crc32c(bytes: Buffer, start: number, end: number, zerosAt: number): number {
  let crc = 0xffffffff;
  for (let at = start; at < end; at++) {
    const byte = at >= zerosAt && at < zerosAt + 4 ? 0 : (bytes[at] ?? 0);
    crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
