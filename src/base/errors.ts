/**
 * What the world did to us: full disks, dead peers, wrong files. A stable `code` for programs, a sentence for
 * people, and whether trying again can help. What a peer did is a reply (protocol/replies), what we did wrong is
 * an assert; neither is ever a PosternError.
 */

export const errorCodes = {
  CONFIG_INVALID: { retryable: false, help: 'the config file has faults; each is listed with its line' },
  CONFIG_UNREADABLE: { retryable: false, help: 'the config file cannot be read' },
  RELOAD_REFUSED: { retryable: false, help: 'the new config changes what only a restart can change' },
  LISTEN_FAILED: { retryable: true, help: 'a listener or the admin address cannot be bound' },
  DATA_DIR_UNUSABLE: { retryable: false, help: 'the data directory cannot be created or written' },
  DATA_DIR_LOCKED: { retryable: false, help: 'another instance runs on the same data directory' },
  TLS_UNUSABLE: { retryable: false, help: 'a certificate or key is missing, unreadable or does not fit' },
  SPOOL_FORMAT: {
    retryable: false,
    help: 'a queue file was written by a newer Postern, or is not a queue file',
  },
  SPOOL_CORRUPT: { retryable: false, help: 'a queue record does not match its length or checksum' },
  SPOOL_COMMIT: { retryable: true, help: 'a commit to the queue failed or did not return in time' },
  SPOOL_CLOSED: { retryable: true, help: 'the queue takes no more messages in this process' },
  SPOOL_FULL: { retryable: true, help: 'the disk reserve or a queue limit is reached' },
  NOT_FOUND: { retryable: false, help: 'no such message' },
  NOT_HELD: { retryable: false, help: 'the message is neither held nor parked, so it cannot be released' },
  EXISTS: { retryable: false, help: 'a message of this id is in the queue already' },
  BAD_IMPORT: { retryable: false, help: 'what was to be imported is not an export, or is damaged' },
  POOL_FULL: { retryable: true, help: 'the task queue of the thread pool is full' },
  POOL_TIMEOUT: { retryable: true, help: 'a task passed its deadline' },
  POOL_TASK: { retryable: true, help: 'a task failed' },
  USERS_FILE: { retryable: false, help: 'the users file cannot be read or has faults' },
  AUTH_UNREACHABLE: {
    retryable: true,
    help: 'the authentication backend or the issuer of tokens cannot be reached, or was lost',
  },
  AUTH_TIMEOUT: {
    retryable: true,
    help: 'the authentication backend or the issuer of tokens did not answer in time',
  },
  AUTH_TEMPORARY: {
    retryable: true,
    help: 'the authentication backend or the issuer of tokens says that it cannot answer now',
  },
  AUTH_PROTOCOL: {
    retryable: true,
    help: 'the authentication backend or the issuer of tokens gave an answer that makes no sense',
  },
  AUTH_FULL: {
    retryable: true,
    help: 'too many logins wait for the authentication backend or the issuer of tokens',
  },
  AUTH_RESTING: {
    retryable: true,
    help: 'the authentication backend or the issuer of tokens did not answer and is left alone for a while',
  },
  AUTH_PACKAGE: { retryable: false, help: 'a package that the authentication backend needs is missing' },
  TOKEN_SETUP: { retryable: false, help: 'tokens cannot be checked: a package or the key set is missing' },
  RELAY_CONNECT: { retryable: true, help: 'the next hop cannot be reached' },
  RELAY_TIMEOUT: { retryable: true, help: 'the next hop did not answer in time' },
  RELAY_PROTOCOL: { retryable: true, help: 'the next hop broke the protocol' },
  RELAY_TLS: { retryable: true, help: 'TLS to the next hop failed' },
  MAILDIR: { retryable: true, help: 'a Maildir cannot be written' },
  ADMIN_UNREACHABLE: { retryable: true, help: 'no Postern answers on the admin address' },
  ADMIN_REFUSED: { retryable: false, help: 'the admin API refused the call' },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export class PosternError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PosternError';
    this.code = code;
    this.retryable = errorCodes[code].retryable;
  }
}

/** The message of whatever was thrown, for a log line or an operator. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node or Postern error (`EADDRINUSE`, `SPOOL_COMMIT`), or undefined. */
export function errorCodeOf(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
