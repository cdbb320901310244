/**
 * The reader that lost against native search (bench/micro/data-reader.bench.ts): one pass over all bytes in a loop.
 * Kept as a second opinion in the tests, and as what the bench compares with. Takes a whole message.
 */
const CR = 13;
const LF = 10;
const DOT = 46;

/** The index behind the end of data, or -1; `onPiece` gets the body's pieces, `onDefect` whatever is wrong. */
export function byteLoopRead(
  bytes: Buffer,
  onPiece: (start: number, end: number) => void,
  onDefect: (at: number) => void,
): number {
  let pieceStart = 0;
  let lineStart = 0;
  let previous = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (previous === CR && byte !== LF) onDefect(at - 1);
    if (byte === LF) {
      if (previous !== CR) onDefect(at);
      else {
        const isDot = at - lineStart === 2 && bytes[lineStart] === DOT;
        if (isDot) {
          if (lineStart > pieceStart) onPiece(pieceStart, lineStart);
          return at + 1;
        }
        lineStart = at + 1;
      }
    } else if (byte === 0) onDefect(at);
    else if (byte === DOT && at === lineStart && bytes[at + 1] !== CR) {
      if (at > pieceStart) onPiece(pieceStart, at);
      pieceStart = at + 1;
    }
    previous = byte;
  }
  return -1;
}
