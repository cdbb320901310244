import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from '../../src/auth/circuit-breaker.js';

/** Made silent until it rests. @returns when the rest is over */
function rested(breaker: CircuitBreaker): number {
  breaker.silent(breaker.enter(0), 0);
  breaker.silent(breaker.enter(0), 0);
  return breaker.silent(breaker.enter(0), 0);
}

describe('a circuit breaker', () => {
  it('lets questions through until three in a row found silence', () => {
    const breaker = new CircuitBreaker();
    expect([breaker.silent('open', 0), breaker.silent('open', 0)]).toEqual([0, 0]);
    expect(breaker.enter(0)).toBe('open');
    expect(breaker.silent('open', 0)).toBe(1_000);
    expect(breaker.isDown).toBe(true);
    expect(breaker.enter(999)).toBe('resting');
  });

  it('counts silences in a row only', () => {
    const breaker = new CircuitBreaker();
    for (let i = 0; i < 10; i++) {
      breaker.silent('open', 0);
      breaker.silent('open', 0);
      expect(breaker.answered()).toBe(false);
    }
    expect(breaker.enter(0)).toBe('open');
  });

  it('sends one probe when the rest is over, and says when it had been down', () => {
    const breaker = new CircuitBreaker();
    const overMs = rested(breaker);
    expect([breaker.enter(overMs), breaker.enter(overMs)]).toEqual(['probe', 'resting']);
    expect(breaker.answered()).toBe(true);
    expect(breaker.enter(overMs)).toBe('open');
  });

  it('rests twice as long after each silent probe, half a minute at most', () => {
    const breaker = new CircuitBreaker();
    let nowMs = rested(breaker);
    const rests: number[] = [];
    for (let i = 0; i < 7; i++) {
      const restMs = breaker.silent(breaker.enter(nowMs), nowMs);
      rests.push(restMs);
      nowMs += restMs;
    }
    expect(rests).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('does not rest longer for questions that were out when the rest began', () => {
    const breaker = new CircuitBreaker();
    const overMs = rested(breaker);
    expect([breaker.silent('open', 1), breaker.silent('open', 2)]).toEqual([0, 0]);
    expect(breaker.enter(overMs)).toBe('probe');
  });

  it('sends another probe when one was withdrawn', () => {
    const breaker = new CircuitBreaker();
    const overMs = rested(breaker);
    breaker.withdrawn(breaker.enter(overMs));
    expect(breaker.enter(overMs)).toBe('probe');
  });
});
