/** The mechanisms as data: one row each. A new name in types.ts is a compile error here until it has its row. */
import type { Mechanism } from '../types.js';
import type { SaslExchange } from './exchange.js';
import { LoginExchange } from './login.js';
import { PlainExchange } from './plain.js';

const makers: Readonly<Record<Mechanism, () => SaslExchange>> = {
  PLAIN: () => new PlainExchange(),
  LOGIN: () => new LoginExchange(),
};

export function newExchange(mechanism: Mechanism): SaslExchange {
  return makers[mechanism]();
}
