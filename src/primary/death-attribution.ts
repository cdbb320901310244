/**
 * Whose fault a worker's death was. Pure: what is known of the death in; which queue files it counts against out. The
 * restart back-off is another question (restart-delay.ts): it looks at how long a worker lived, never at why it died.
 */

export interface Death {
  readonly signal: string | null;
  readonly exitCode: number | null;
  /** What the spool was doing, by its last 'phase'. */
  readonly phase: { readonly kind: 'opening' | 'scanning'; readonly file: string } | undefined;
  /** Messages in the relay's hands, by the last heartbeat (at most a second old). */
  readonly leased: number;
  /** Queue files that were open in the dead worker. */
  readonly files: readonly string[];
  /** It said 'unable' before: it ended in an orderly way, and said why. */
  readonly unable: boolean;
  /** The file that another process left and in which a commit failed: what the worker ended for. */
  readonly commitFailedIn: string | undefined;
  /** The primary killed it because it said nothing: its event loop stood. */
  readonly wasSilent: boolean;
}

/**
 * 'reading': died while opening, verifying or scanning that file. 'crash': our code or LMDB's went down with it open.
 * 'commit': ended because nothing could be written to it; whether the disk is to blame is for the caller to find out.
 */
export type Blame =
  | { readonly kind: 'reading'; readonly files: readonly [string] }
  | { readonly kind: 'crash'; readonly files: readonly string[] }
  | { readonly kind: 'commit'; readonly files: readonly [string] }
  | { readonly kind: 'none' };

/** What a worker exits with after the first failed commit: a disk's fault as a rule, not a file's. */
const commitFailedExitCode = 70;

// A memory fault or a failed assertion in native code.
const crashSignals: ReadonlySet<string> = new Set(['SIGABRT', 'SIGSEGV', 'SIGBUS']);
// Sent by somebody: an operator, the kernel short of memory, the primary at the end of a drain.
const sentSignals: ReadonlySet<string> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT']);

export function attributeDeath(death: Death): Blame {
  const { commitFailedIn } = death;
  if (death.exitCode === commitFailedExitCode && commitFailedIn !== undefined)
    return { kind: 'commit', files: [commitFailedIn] };
  if (isNobodysFault(death)) return { kind: 'none' };
  if (death.phase !== undefined) return { kind: 'reading', files: [death.phase.file] };
  // With a message leased, the message is the first suspect: its own attempt counter parks it.
  const isCrash = death.signal !== null && crashSignals.has(death.signal) && death.leased === 0;
  return isCrash && death.files.length > 0 ? { kind: 'crash', files: death.files } : { kind: 'none' };
}

/** lmdb-js, too, goes down by such a signal when the system refuses to open a file or to write a page (EIO, ENOSPC). */
export function mayBeTheDisk({ signal, exitCode }: Death): boolean {
  return exitCode === commitFailedExitCode || (signal !== null && crashSignals.has(signal));
}

/**
 * Whether attempts that were under way count against their messages (F-41). Not after a failed commit: three of a disk
 * would park whatever mail was on its way.
 */
export function mayBeAMessages(death: Death): boolean {
  return !isNobodysFault(death);
}

function isNobodysFault(death: Death): boolean {
  if (death.wasSilent) return false;
  return death.signal === null ? isOrderlyExit(death) : sentSignals.has(death.signal);
}

function isOrderlyExit(death: Death): boolean {
  return death.unable || death.exitCode === 0 || death.exitCode === commitFailedExitCode;
}
