/**
 * Finds the end of a message and its stuffed dots, RFC 5321 §4.1.1.4 and §4.5.2, and whatever would make two servers
 * disagree about them: a CR or LF alone, a NUL. Only CR LF . CR LF ends a message. Body bytes are not copied: a scan
 * yields pieces of the chunk, cut where a dot has to go. Octets of BDAT have the same lines, but no dots and no end.
 *
 * Inside a line the search is native, one indexOf per line; at chunk edges and after the first defect a machine of
 * named states takes single bytes. bench/micro/data-reader.bench.ts compares it with a loop over all bytes, which
 * lives on in test/ as the reference. Does not know the header, sizes or replies: incoming-message.ts does.
 */
import { CR, DOT, LF, NUL } from './characters.js';

/** Each is named for what has just been seen. A message begins as if a CR LF came before it (RFC 5321 §4.1.1.4). */
const State = { LineStart: 0, InLine: 1, Cr: 2, LineDot: 3, LineDotCr: 4 } as const;
type State = (typeof State)[keyof typeof State];

export type Defect = 'bare-newline' | 'nul' | 'line-too-long';

export type ScanEvent =
  /** Scanned up to `position`: the chunk's end, or earlier when the list of pieces is full. */
  | 'more'
  /** End of data, `position` is behind it. */
  | 'end'
  /** The first thing wrong, at `position`; from here on only the end is looked for. `defect` says what. */
  | 'defect';

// Longest stretch taken at once, and the scratch that goes with it: one socket read of Node.
const windowBytes = 65_536;
// Pieces of one scan: a body of dots alone must not make the list as long as the chunk.
const maxPieces = 256;

// A copy of the window in which every CR that has its LF is blotted out: what native search then still finds is a
// CR alone. A second search per line, for CRs, took 1.6 times as long. Filled and read within one scan, so shared by
// all sessions. One byte more: a CR as sentinel behind the window.
const scratch = Buffer.allocUnsafeSlow(windowBytes + 1);

const endOfData = Buffer.from('\r\n.\r\n', 'latin1');

export class DataReader {
  position = 0;
  defect: Defect | undefined;
  /** The end came right behind CR CR LF. Some servers see no line end in that, so what follows may be smuggled. */
  doubtfulEnd = false;
  pieceCount = 0;
  readonly #starts = new Int32Array(maxPieces);
  readonly #ends = new Int32Array(maxPieces);
  readonly #maxLineBytes: number;
  #state: State = State.LineStart;
  /** Of the line that goes on from the chunk before. */
  #lineBytes = 0;
  // Indexes into the chunk while a scan runs.
  #lineStart = 0;
  #pieceStart = 0;
  #dropping = false;
  #crCrLf = false;
  #dots = true;
  #tolerant = false;
  /** A CR that was held as part of the end of data, in the chunk before, is body and comes before the first piece. */
  crBefore = false;

  /** @param maxLineBytes longest body line, CRLF included, a stuffed dot not */
  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** @param dots there are some, as in DATA: stuffed, and the one that ends it */
  begin(dots = true): void {
    this.doubtfulEnd = false;
    this.defect = undefined;
    this.crBefore = false;
    this.#dots = dots;
    this.#tolerant = false;
    this.#dropping = false;
    this.#state = State.LineStart;
    this.#crCrLf = false;
    this.#lineBytes = 0;
  }

  /** After a bare newline: the message goes on, and may have more of them. Byte by byte from here on. */
  tolerate(): void {
    this.defect = undefined;
    this.#dropping = false;
    this.#tolerant = true;
    this.#lineBytes = 0;
  }

  /** The last piece ended with a CR whose LF has not come. */
  get afterCr(): boolean {
    return this.#state === State.Cr;
  }

  /** The message is refused: no more pieces and defects, only its end. */
  drop(): void {
    this.#dropping = true;
  }

  pieceStart(index: number): number {
    return this.#starts[index] ?? 0;
  }

  pieceEnd(index: number): number {
    return this.#ends[index] ?? 0;
  }

  /**
   * After it `position` is where the next scan begins, `pieceCount` pieces are body bytes in order.
   * @param limit where the message's bytes end in the chunk at the latest
   */
  scan(chunk: Buffer, from: number, limit = chunk.length): ScanEvent {
    this.pieceCount = 0;
    this.crBefore = false;
    return this.#dropping ? this.#findEnd(chunk, from) : this.#scanClean(chunk, from, limit);
  }

  // ---- a message with nothing wrong so far -----------------------------------------------------------------------

  /** Byte by byte while it matters what came before the chunk, then line by line. */
  #scanClean(chunk: Buffer, from: number, limit: number): ScanEvent {
    const to = Math.min(limit, from + windowBytes);
    this.#pieceStart = from;
    this.#lineStart = from - this.#lineBytes;
    for (let at = from; at < to;) {
      if (this.#state === State.InLine && !this.#tolerant) return this.#scanLines(chunk, at, to);
      const byte = chunk[at] ?? NUL;
      const fault = this.#faultOf(byte, at);
      if (fault !== undefined) return this.#stopAtDefect(fault, at);
      // A dot at the start of a line, and a CR behind it, are not body: stuffed, or the end of data.
      if (this.#state === State.LineStart && byte === DOT && this.#dots) this.#leaveOut(at);
      else if (this.#state === State.LineDot && byte === CR) this.#leaveOut(at);
      else if (this.#state === State.LineDotCr && byte !== LF) this.#takeBackCr(at, from);
      const ended = this.#advance(byte);
      at++;
      if (ended) return this.#stop(at, 'end');
      if (byte === LF) this.#lineStart = at;
      if (this.pieceCount === maxPieces - 1) return this.#stopInside(at);
    }
    return this.#stopInside(to);
  }

  /** What is wrong with `byte` after what has been seen. */
  #faultOf(byte: number, at: number): Defect | undefined {
    const afterCr = this.#state === State.Cr || this.#state === State.LineDotCr;
    if (afterCr && byte !== LF && !this.#tolerant) return 'bare-newline';
    if (at >= this.#lineStart + this.#maxLineBytes) return 'line-too-long';
    if (byte === NUL) return 'nul';
    return byte === LF && !afterCr && !this.#tolerant ? 'bare-newline' : undefined;
  }

  /** The CR behind a line's dot was not the end's. */
  #takeBackCr(at: number, from: number): void {
    if (at > from) this.#pieceStart = at - 1;
    else this.crBefore = true;
  }

  #leaveOut(at: number): void {
    this.#cut(at);
    this.#pieceStart = this.#lineStart = at + 1;
  }

  /** From inside a line. Every LF must come behind a CR; a CR that has no LF is found in the scratch afterwards. */
  #scanLines(chunk: Buffer, from: number, to: number): ScanEvent {
    chunk.copy(scratch, 0, from, to);
    scratch[to - from] = CR;
    let at = from;
    for (;;) {
      const lf = chunk.indexOf(LF, at);
      if (lf < 0 || lf >= to) return this.#lastLine(chunk, from, to);
      const paired = chunk[lf - 1] === CR;
      if (paired) scratch[lf - 1 - from] = LF;
      const limit = this.#lineStart + this.#maxLineBytes;
      if (lf >= limit) return this.#settleDefect(chunk, from, limit, 'line-too-long');
      if (!paired) return this.#settleDefect(chunk, from, lf, 'bare-newline');
      at = this.#lineStart = lf + 1;
      if (at === to) return this.#settle(chunk, from, to, State.LineStart);
      if (chunk[at] !== DOT || !this.#dots) continue;
      this.#leaveOut(at++);
      if (at === to || this.pieceCount === maxPieces - 1) return this.#settle(chunk, from, at, State.LineDot);
      if (chunk[at] !== CR) continue;
      if (at + 1 === to) return this.#heldCr(chunk, from, to);
      if (chunk[at + 1] === LF) return this.#settleEnd(chunk, from, at);
    }
  }

  /** The stretch ends inside a line. */
  #lastLine(chunk: Buffer, from: number, to: number): ScanEvent {
    const limit = this.#lineStart + this.#maxLineBytes;
    if (to > limit) return this.#settleDefect(chunk, from, limit, 'line-too-long');
    const afterCr = chunk[to - 1] === CR;
    if (afterCr) scratch[to - 1 - from] = LF;
    return this.#settle(chunk, from, to, afterCr ? State.Cr : State.InLine);
  }

  /** CR LF . CR, and nothing more yet. */
  #heldCr(chunk: Buffer, from: number, to: number): ScanEvent {
    scratch[to - 1 - from] = LF;
    this.#pieceStart = this.#lineStart = to;
    return this.#settle(chunk, from, to, State.LineDotCr);
  }

  #settleEnd(chunk: Buffer, from: number, crAt: number): ScanEvent {
    scratch[crAt - from] = LF;
    this.#pieceStart = crAt + 2;
    return this.#settle(chunk, from, crAt + 2, State.LineStart) === 'more'
      ? this.#stop(crAt + 2, 'end')
      : 'defect';
  }

  /** Nothing was found on the way up to `stop`; what native search finds in the whole stretch decides. */
  #settle(chunk: Buffer, from: number, stop: number, state: State): ScanEvent {
    const defectAt = this.#earliest(chunk, from, stop);
    if (this.defect !== undefined) return this.#stopAt(chunk, from, defectAt);
    this.#state = state;
    return this.#stopInside(stop);
  }

  #settleDefect(chunk: Buffer, from: number, at: number, defect: Defect): ScanEvent {
    this.defect = defect;
    return this.#stopAt(chunk, from, this.#earliest(chunk, from, at));
  }

  /** The place of a CR alone or a NUL before `limit` (then `defect` is that), else `limit`. */
  #earliest(chunk: Buffer, from: number, limit: number): number {
    let at = limit;
    const cr = from + scratch.indexOf(CR);
    if (cr < at) {
      this.defect = 'bare-newline';
      at = cr;
    }
    const nul = chunk.indexOf(NUL, from);
    if (nul >= 0 && nul < at) {
      this.defect = 'nul';
      at = nul;
    }
    return at;
  }

  #stopAt(chunk: Buffer, from: number, at: number): ScanEvent {
    this.#state = at > from && chunk[at - 1] === CR ? State.Cr : State.InLine;
    this.#clip(at);
    this.#dropping = true;
    return this.#stop(at, 'defect');
  }

  #stopAtDefect(defect: Defect, at: number): ScanEvent {
    this.defect = defect;
    this.#cut(at);
    this.#dropping = true;
    return this.#stop(at, 'defect');
  }

  #stopInside(at: number): ScanEvent {
    this.#cut(at);
    this.#lineBytes = Math.max(0, at - this.#lineStart);
    return this.#stop(at, 'more');
  }

  #stop(at: number, event: ScanEvent): ScanEvent {
    this.position = at;
    return event;
  }

  #cut(end: number): void {
    if (end <= this.#pieceStart) return;
    this.#starts[this.pieceCount] = this.#pieceStart;
    this.#ends[this.pieceCount] = end;
    this.pieceCount++;
  }

  /** Pieces behind `at` were cut before the defect at `at` was known. */
  #clip(at: number): void {
    this.#cut(at);
    while (this.pieceCount > 0 && this.pieceStart(this.pieceCount - 1) >= at) this.pieceCount--;
    const last = this.pieceCount - 1;
    if (last >= 0) this.#ends[last] = Math.min(this.pieceEnd(last), at);
  }

  // ---- a message that is refused: only its end matters -------------------------------------------------------------

  #findEnd(chunk: Buffer, from: number): ScanEvent {
    let at = from;
    while (at < chunk.length && this.#state !== State.InLine) {
      if (this.#advance(chunk[at++] ?? NUL)) return this.#stop(at, 'end');
    }
    const found = at < chunk.length ? chunk.indexOf(endOfData, at) : -1;
    if (found >= 0) {
      this.doubtfulEnd = chunk[found - 1] === CR;
      return this.#stop(found + endOfData.length, 'end');
    }
    // What may be the beginning of an end, and the CR that would make it doubtful, is kept as a state.
    at = Math.max(at, chunk.length - endOfData.length);
    while (at < chunk.length) this.#advance(chunk[at++] ?? NUL);
    return this.#stop(at, 'more');
  }

  // ---- the machine -------------------------------------------------------------------------------------------------

  /** True at the end of data. */
  #advance(byte: number): boolean {
    switch (this.#state) {
      case State.LineStart:
        if (byte === DOT && this.#dots) this.#state = State.LineDot;
        else this.#inLine(byte, false);
        break;
      case State.InLine:
        this.#inLine(byte, false);
        break;
      case State.Cr:
        if (byte === LF) this.#state = State.LineStart;
        else this.#inLine(byte, true);
        break;
      case State.LineDot:
        if (byte === CR) this.#state = State.LineDotCr;
        else this.#inLine(byte, false);
        break;
      case State.LineDotCr:
        if (byte === LF) return this.#end();
        this.#inLine(byte, true);
        break;
    }
    return false;
  }

  #inLine(byte: number, afterCr: boolean): void {
    this.#state = byte === CR ? State.Cr : State.InLine;
    this.#crCrLf = afterCr && byte === CR;
  }

  #end(): true {
    this.doubtfulEnd = this.#crCrLf;
    return true;
  }
}
