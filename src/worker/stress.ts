/**
 * Whether this worker is so loaded that its stressed limits hold, and which limits hold now. Entered at four fifths of
 * the connections or of the bytes in flight that it may have, left below three fifths, so that it does not flap. Looked at
 * once a second; whoever wants a limit asks `limits` for it each time.
 */
import type { Log } from '../base/log.js';
import type { LimitsConfig } from '../config/config.js';

const enterAt = 0.8;
const leaveBelow = 0.6;

export interface Load {
  readonly connections: number;
  readonly bytesInFlight: number;
}

export class Stress {
  readonly #normal: LimitsConfig;
  readonly #stressed: LimitsConfig;
  readonly #log: Log;
  #limits: LimitsConfig;

  constructor(limits: LimitsConfig, log: Log) {
    this.#normal = limits;
    this.#stressed = Object.freeze({ ...limits, ...limits.stress });
    this.#limits = limits;
    this.#log = log;
  }

  /** Those that hold now. */
  get limits(): LimitsConfig {
    return this.#limits;
  }

  get active(): boolean {
    return this.#limits === this.#stressed;
  }

  look({ connections, bytesInFlight }: Load): void {
    const ofConnections = connections / this.#normal.connectionsPerWorker;
    const ofBytes = bytesInFlight / this.#normal.bytesInFlight;
    const share = Math.max(ofConnections, ofBytes);
    if (this.active ? share >= leaveBelow : share < enterAt) return;
    this.#limits = this.active ? this.#normal : this.#stressed;
    const facts = { connections, bytesInFlight };
    if (this.active)
      this.#log.warn(
        { event: 'stress.entered', ...facts },
        `${percent(share)} of limits.${ofConnections >= ofBytes ? 'connectionsPerWorker' : 'bytesInFlight'}: the limits under limits.stress hold. If this is no attack, raise that limit, give the queue a faster disk, or add workers`,
      );
    else
      this.#log.info(
        { event: 'stress.left', ...facts },
        'less than 60 % of the limits: the usual limits hold',
      );
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
