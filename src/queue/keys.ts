/**
 * The keys of a queue file: one format record, an envelope per message, and its chunks in order. Ids are ours
 * (base/ids), of one length, so that keys need no separators and nothing from the network is in them.
 */

/** Of the record that says what this file is. */
export const formatKey = Buffer.from('f');

const envelopeTag = 0x65; // e
const chunkTag = 0x62; // b
const idBytes = 16;

export function envelopeKey(id: string): Buffer {
  const key = Buffer.allocUnsafe(1 + idBytes);
  key[0] = envelopeTag;
  key.write(id, 1, 'latin1');
  return key;
}

export function chunkKey(id: string, index: number): Buffer {
  const key = Buffer.allocUnsafe(1 + idBytes + 4);
  key[0] = chunkTag;
  key.write(id, 1, 'latin1');
  key.writeUInt32BE(index, 1 + idBytes);
  return key;
}

/** Of an envelope or a chunk; the key as it is, or as latin1 text. */
export function idOf(key: Buffer | string): string {
  return typeof key === 'string' ? key.slice(1, 1 + idBytes) : key.toString('latin1', 1, 1 + idBytes);
}

/** All keys of a kind after that of `id`, for a scan in slices; '' starts at the beginning. */
export function envelopesAfter(id: string): { start: Buffer; end: Buffer } {
  return { start: Buffer.from(`e${id}\u0000`, 'latin1'), end: Buffer.from([envelopeTag + 1]) };
}

/** Skips the remaining chunks of `id`. */
export function chunksAfter(id: string): { start: Buffer; end: Buffer } {
  return {
    start: Buffer.from(`b${id}${id === '' ? '' : '\u00ff\u00ff\u00ff\u00ff\u00ff'}`, 'latin1'),
    end: Buffer.from([chunkTag + 1]),
  };
}
