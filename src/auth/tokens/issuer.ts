/** The words of a question to the issuer of tokens. */
import type { HttpQuestion } from '../http-client.js';

export interface IssuerText {
  readonly kind: 'ok';
  readonly text: string;
}

/** Bounded in time, number and size. @throws PosternError AUTH_… when there is no answer */
export type AskIssuer = (question: HttpQuestion) => Promise<string>;
