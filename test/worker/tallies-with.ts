/** Tallies of a worker in which nothing is limited but what a test says. */
import { rateKinds, standingKinds } from '../../src/base/tallies.js';
import type { TallyLimits } from '../../src/config/tally-limits.js';
import { Tallies } from '../../src/worker/tallies.js';

const unlimited = { host: Infinity, network: Infinity, account: Infinity };
const none = Object.fromEntries(
  [...standingKinds, ...rateKinds].map((kind) => [kind, unlimited]),
) as TallyLimits; // oxlint-disable-line typescript/no-unsafe-type-assertion -- each kind was just named

export function talliesWith(limits: Partial<TallyLimits>): Tallies {
  return new Tallies({ ...none, ...limits });
}
