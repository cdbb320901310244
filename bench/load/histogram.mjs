/**
 * Latencies in logarithmic buckets 2 % wide: what several processes counted can be added up, which raw percentiles
 * cannot. From 1 µs to 17 minutes.
 */

const bucketsPerE = 50;
const buckets = 1040;

export class Histogram {
  count = 0;
  maxMs = 0;
  /** @type {Float64Array | number[]} */
  values = new Float64Array(buckets);

  /** @param {number} ms */
  record(ms) {
    const index = Math.round(Math.log(ms * 1000) * bucketsPerE);
    const bucket = index < 0 ? 0 : index >= buckets ? buckets - 1 : index;
    this.values[bucket] = (this.values[bucket] ?? 0) + 1;
    this.count += 1;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  /** @param {{ count: number, maxMs: number, values: ArrayLike<number> }} other as toJSON gave it */
  add(other) {
    this.count += other.count;
    this.maxMs = Math.max(this.maxMs, other.maxMs);
    for (let i = 0; i < buckets; i++) this.values[i] = (this.values[i] ?? 0) + (other.values[i] ?? 0);
  }

  /** @param {number} p 0…1 @returns {number | null} milliseconds; null when nothing was recorded */
  percentileMs(p) {
    if (this.count === 0) return null;
    let left = Math.ceil(this.count * p);
    for (let i = 0; i < buckets; i++) {
      left -= this.values[i] ?? 0;
      if (left <= 0) return Math.min(Math.exp(i / bucketsPerE) / 1000, this.maxMs);
    }
    return this.maxMs;
  }

  toJSON() {
    return { count: this.count, maxMs: this.maxMs, values: Array.from(this.values) };
  }

  /** For a result file: percentiles in milliseconds, three digits: a bucket is no finer. */
  summary() {
    return {
      p50Ms: round(this.percentileMs(0.5)),
      p90Ms: round(this.percentileMs(0.9)),
      p99Ms: round(this.percentileMs(0.99)),
      p999Ms: round(this.percentileMs(0.999)),
      maxMs: this.count === 0 ? null : round(this.maxMs),
    };
  }
}

/** @param {number | null} ms */
function round(ms) {
  return ms === null ? null : Number(ms.toPrecision(3));
}
