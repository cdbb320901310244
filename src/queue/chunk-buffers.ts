/**
 * Memory for message bytes on their way to disk: uniform chunks that are used again, and smaller buffers that grow
 * with a message, so that 4 KiB of mail do not take 64 KiB of memory.
 */

/**
 * 64 KiB less LMDB's page header, so that a chunk fills its overflow pages to the last byte. The header of the LMDB in
 * lmdb-js has 24 bytes (it keeps a transaction id): 65 512 bytes take 16 pages, 65 513 take 17 (getStats).
 */
export const chunkBytes = 65_512;

const firstBytes = 4096;
// 4 MiB: as many as a few fast senders have between socket and disk. More are left to the garbage collector.
const maxFree = 64;

const free: Buffer[] = [];

/** Room for `needed` bytes (at most a chunk) that begins with the first `used` bytes of `old`. */
export function growBuffer(old: Buffer | undefined, used: number, needed: number): Buffer {
  let capacity = Math.max(firstBytes, old === undefined ? 0 : old.length * 2);
  while (capacity < needed) capacity *= 2;
  const larger =
    capacity >= chunkBytes
      ? (free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes))
      : Buffer.allocUnsafeSlow(capacity);
  old?.copy(larger, 0, 0, used);
  return larger;
}

/** The caller must be the last who knows the buffer; LMDB reads it until its commit has settled. */
export function giveBack(buffer: Buffer): void {
  if (buffer.length === chunkBytes && free.length < maxFree) free.push(buffer);
}
