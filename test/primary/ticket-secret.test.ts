import { afterEach, expect, test, vi } from 'vitest';
import { TicketSecret } from '../../src/primary/ticket-secret.js';

afterEach(() => {
  vi.useRealTimers();
});

test('a new secret every twelve hours, told when it comes', () => {
  vi.useFakeTimers();
  const told: string[] = [];
  const tickets = new TicketSecret((secret) => told.push(secret));
  const first = tickets.current;
  expect(Buffer.from(first, 'base64')).toHaveLength(32);
  vi.advanceTimersByTime(12 * 3_600_000 - 1);
  expect(tickets.current).toBe(first);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(tickets.current).not.toBe(first);
  expect(told).toEqual([tickets.current]);
  vi.advanceTimersByTime(12 * 3_600_000);
  expect(new Set([first, ...told]).size).toBe(3);
});
