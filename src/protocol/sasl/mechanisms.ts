/** The mechanisms as data: one row each. A new name in types.ts is a compile error here until it has its row. */
import type { Mechanism } from '../types.js';
import { BearerExchange } from './bearer.js';
import { CramMd5Exchange } from './cram-md5.js';
import type { SaslExchange } from './exchange.js';
import { ExternalExchange } from './external.js';
import { LoginExchange } from './login.js';
import { PlainExchange } from './plain.js';
import { ScramExchange } from './scram.js';

type Maker = (announced: readonly Mechanism[]) => SaslExchange;

const makers: Readonly<Record<Mechanism, Maker>> = {
  'SCRAM-SHA-256-PLUS': (announced) => new ScramExchange('SCRAM-SHA-256-PLUS', announced),
  'SCRAM-SHA-256': (announced) => new ScramExchange('SCRAM-SHA-256', announced),
  'SCRAM-SHA-1-PLUS': (announced) => new ScramExchange('SCRAM-SHA-1-PLUS', announced),
  'SCRAM-SHA-1': (announced) => new ScramExchange('SCRAM-SHA-1', announced),
  OAUTHBEARER: () => new BearerExchange('OAUTHBEARER'),
  XOAUTH2: () => new BearerExchange('XOAUTH2'),
  EXTERNAL: () => new ExternalExchange(),
  'CRAM-MD5': () => new CramMd5Exchange(),
  PLAIN: () => new PlainExchange(),
  LOGIN: () => new LoginExchange(),
};

/** @param announced all mechanisms of the session: some must know what a client could have chosen */
export function newExchange(mechanism: Mechanism, announced: readonly Mechanism[]): SaslExchange {
  return makers[mechanism](announced);
}
