/**
 * The words of a log-in: what is asked, of whom it is asked, and what can come of it. Data and interfaces alone: the
 * users file (authenticate.ts), a backend (backend-authenticator.ts) and the limits on guessing stand behind them.
 */
import type { Mechanism } from '../protocol/types.js';

/** Where a log-in comes from: for backends that want to know, and for the limits on guessing. */
export interface LoginOrigin {
  /** Of the client, normalized. */
  readonly address: string;
  /** Name of the listener. */
  readonly listener: string;
  readonly sessionId: string;
  /** This user logged in from there of late, or nobody is limited there: his turn comes before strangers'. */
  readonly isKnown: boolean;
}

/** `why` goes to the log; the client learns nothing of it. */
interface Failed {
  readonly kind: 'failed';
  readonly why?: string;
}

export type AuthResult =
  | { readonly kind: 'ok'; readonly user: string }
  | Failed
  /** Nobody's fault but ours: 454, come again. */
  | { readonly kind: 'unavailable' };

/** Says whether a password is a user's. Counts what came of it; never throws for what the world does. */
export interface PasswordAuthenticator {
  /** @param authorizationId must be empty or the user himself: nobody acts for another */
  check(
    mechanism: Mechanism,
    authorizationId: string,
    authenticationId: string,
    password: string,
    origin: LoginOrigin,
  ): Promise<AuthResult>;
}

/** What a backend is asked, as the client wrote it: a backend has its own idea of one spelling. Neither is empty. */
export interface BackendLogin {
  readonly mechanism: Mechanism;
  readonly user: string;
  readonly password: string;
  readonly origin: LoginOrigin;
}

/** `user`: the name that the backend knows him by. */
export type BackendAnswer = { readonly kind: 'ok'; readonly user: string } | Failed;

/** Asks a backend, bounded in time, number and size. @throws PosternError AUTH_… when there is no answer */
export type AskBackend = (login: BackendLogin) => Promise<BackendAnswer>;
