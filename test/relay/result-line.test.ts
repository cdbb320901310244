import { describe, expect, it } from 'vitest';

import type { Lease, RecipientResult } from '../../src/queue/spool.js';
import { resultLine } from '../../src/relay/result-line.js';
import { MemorySpool } from './memory-spool.js';

const spool = new MemorySpool();
const message = spool.show(spool.add('x', { sessionId: 'S'.repeat(40) }));
const lease = leaseOf('out');
const restsUntilMs = Date.UTC(2026, 0, 2, 3, 4, 5);

function leaseOf(route: string): Lease {
  return {
    message,
    route,
    body: async function* () {
      /* not read */
    },
  };
}

function results(
  addresses: readonly string[],
  state: RecipientResult['state'] = 'pending',
  lastReply = '451 later',
): RecipientResult[] {
  return addresses.map((address) => ({ address, state, lastReply }));
}

describe('the line of a result', () => {
  it('names the first five recipients, each cut to 256 characters, and counts all', () => {
    const addresses = ['a', 'b'.repeat(300), 'c', 'd', 'e', 'f', 'g'];
    const line = resultLine(lease, { hop: 'h:25' }, results(addresses), 0.1234567);
    expect(line).toEqual({
      qid: message.id,
      sid: message.sessionId,
      route: 'out',
      hop: 'h:25',
      to: ['a', 'b'.repeat(256), 'c', 'd', 'e'],
      recipients: 7,
      reply: '451 later',
      attempts: 1,
      seconds: 0.123457,
    });
  });

  it('names five of 256 characters in ASCII', () => {
    const line = resultLine(lease, { hop: 'h:25' }, results(Array(5).fill('a'.repeat(400))), 0);
    expect(line.to).toEqual(Array(5).fill('a'.repeat(256)));
  });

  it.each([
    ['pending', '451 later; hop rests until 2026-01-02T03:04:05.000Z'],
    ['failed', '451 later; hop rests until 2026-01-02T03:04:05.000Z'],
    ['delivered', '451 later'],
  ] as const)('says until when the hop rests: %s', (state, reply) => {
    const line = resultLine(lease, { hop: 'h:25', restsUntilMs }, results(['a'], state), 0);
    expect(line.reply).toBe(reply);
  });

  it('names the destination where the route looks MX up', () => {
    const line = resultLine(leaseOf('out/example.org'), { hop: 'h:25' }, results(['a']), 0);
    expect(line).toMatchObject({ route: 'out', destination: 'out/example.org' });
  });

  it.each([
    ['ASCII', 'a'],
    ['what JSON escapes', '"\\'],
    ['three bytes a character', '\u{6f22}'],
    ['four bytes', '\u{1f4e7}'],
    ['control characters', '\u0001'],
  ])('stays below 4 KiB, and names somebody and the hop: %s', (_name, text) => {
    const addresses = Array.from({ length: 1000 }, () => text.repeat(400));
    const hop = `/${text.repeat(4000)}`;
    const some = results(addresses, 'pending', '"'.repeat(512));
    const line = resultLine(
      leaseOf(`${'r'.repeat(64)}/${text.repeat(400)}`),
      { hop, restsUntilMs },
      some,
      1 / 3,
    );
    expect(line.to.length).toBeGreaterThan(0);
    expect(line.hop.length).toBeGreaterThan(50);
    // What pino and the worker put before it.
    expect(Buffer.byteLength(JSON.stringify(line))).toBeLessThan(4096 - 300);
  });
});
