/** What stands behind the gate: one way to ask somebody else whether a password is right. */
import type { BackendAnswer, BackendLogin } from '../policy/login.js';

export interface Backend {
  readonly name: 'dovecot' | 'http' | 'ldap';
  /**
   * Asks once. Ends soon after the signal is aborted, whatever the other side does.
   * @throws PosternError AUTH_UNREACHABLE, AUTH_PROTOCOL, AUTH_TEMPORARY. What it throws once aborted is not looked at.
   */
  ask(login: BackendLogin, signal: AbortSignal): Promise<BackendAnswer>;
  /** Ends its connections. */
  close(): void;
}
