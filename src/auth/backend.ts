/** What stands behind the gate: one way to ask somebody else whether a password is right, or what a token means. */
import type { BackendAnswer, BackendLogin } from '../policy/login.js';

/** Of any question: its kind is counted. */
export interface GivenAnswer {
  readonly kind: 'ok' | 'failed';
}

export interface Backend<Question = BackendLogin, Answer extends GivenAnswer = BackendAnswer> {
  readonly name: 'dovecot' | 'http' | 'ldap' | 'tokens';
  /**
   * Asks once. Ends soon after the signal is aborted, whatever the other side does.
   * @throws PosternError AUTH_UNREACHABLE, AUTH_PROTOCOL, AUTH_TEMPORARY. What it throws once aborted is not looked at.
   */
  ask(question: Question, signal: AbortSignal): Promise<Answer>;
  /** Ends its connections. */
  close(): void;
}
