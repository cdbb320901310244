import { expect, test } from 'vitest';
import { createMeters } from '../../src/metrics/worker-meters.js';
import type { Reply } from '../../src/protocol/types.js';
import { ReplyCounter } from '../../src/worker/reply-counter.js';

function reply(code: number, name: string, enhanced = ''): Reply {
  return { name, code, enhanced, bytes: Buffer.from(`${code}\r\n`) };
}

test('each reply counts under its verb and code, each refusal under its stage and reason too', () => {
  const meters = createMeters();
  const counter = new ReplyCounter(meters);
  counter.count(reply(250, 'ok'), 'MAIL');
  counter.count(reply(250, 'ok'), 'MAIL');
  counter.count(reply(550, 'relay-denied', '5.7.1'), 'RCPT');
  counter.count(reply(500, 'unknown-command', '5.5.2'), 'UNKNOWN');
  expect(meters.commandsTotal.of('MAIL', '250').value).toBe(2);
  expect(meters.commandsTotal.of('RCPT', '550').value).toBe(1);
  expect(meters.rejectionsTotal.of('recipient', 'relay-denied', '550', '5.7.1').value).toBe(1);
  expect(meters.rejectionsTotal.of('command', 'unknown-command', '500', '5.5.2').value).toBe(1);
});
