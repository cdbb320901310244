/** What comes of an attempt besides the reply: the sender told, a note kept. */
import { describe, expect, it, vi } from 'vitest';

import type { CarryOutcome } from '../../src/relay/carrier.js';
import type { Notifier } from '../../src/relay/notifier.js';
import { minAttemptsToExpire } from '../../src/relay/retry-schedule.js';
import { fakeHop, RelayRig, routeTo, smtp, told } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const day = 86_400_000;

function teller(change: Partial<Notifier> = {}): Notifier & { asked: CarryOutcome[] } {
  const asked: CarryOutcome[] = [];
  return {
    asked,
    owes: (_lease, outcome) => {
      asked.push(outcome);
      return outcome.results.some(({ state }) => state === 'failed');
    },
    conclude: (_lease, outcome) =>
      Promise.resolve({
        results: outcome.results.map((result) => ({ ...result, state: 'bounced' as const })),
        delayNotified: true,
      }),
    ...change,
  };
}

describe('the notifier', () => {
  it('is asked before a failure is settled, and what he says is settled', async () => {
    const hop = await fakeHop({ answers: { RCPT: '550 5.1.1 no' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { notifier: teller() });
    const settlement = await rig.deliver(body);
    expect(told(settlement)).toEqual(['bounced 550 5.1.1 no']);
    expect(settlement.note).toMatchObject({ delayNotified: true, attempt: { reply: '550 5.1.1 no' } });
    expect([rig.spool.entries.size, rig.deliveries.get('out failed')]).toEqual([0, 1]);
  });

  it('sees expired recipients as failed', async () => {
    const notifier = teller();
    const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { notifier });
    rig.spool.add(body, { arrivedAtMs: Date.now() - 2 * day }, minAttemptsToExpire);
    await rig.start().settled(1);
    expect(notifier.asked[0]?.results).toMatchObject([
      { state: 'failed', lastReply: 'expired: 451 4.3.0 later' },
    ]);
    expect(rig.spool.settlements.map(told)).toEqual([['bounced expired: 451 4.3.0 later']]);
  });

  it('that owes nothing costs no promise: conclude is not called', async () => {
    const conclude = vi.fn();
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)]), {
      notifier: teller({ owes: () => false, conclude }),
    });
    await rig.deliver(body);
    expect(conclude).not.toHaveBeenCalled();
  });
});

it.each([
  ['answers with an error', { conclude: () => Promise.reject(new Error('a bug')) }],
  [
    'throws',
    {
      conclude: () => {
        throw new Error('a bug');
      },
    },
  ],
  [
    'cannot say what is owed',
    {
      owes: () => {
        throw new Error('a bug');
      },
    },
  ],
])('a notifier that %s keeps no message: it is settled as failed', async (_name, change) => {
  const hop = await fakeHop({ answers: { RCPT: '550 5.1.1 no' } });
  const rig = new RelayRig(routeTo([smtp(hop.port)]), { notifier: teller(change) });
  expect(told(await rig.deliver(body))).toEqual(['failed 550 5.1.1 no']);
  expect([rig.spool.leased, rig.events('relay.error').length]).toEqual([0, 1]);
});

function wordyRefusal({ line }: { line: string }): string {
  return line.includes('<b@') ? `450 4.2.0 ${'x'.repeat(400)}` : '250 ok';
}

describe('the note of an attempt', () => {
  it('names hop and reply of what stays in the queue', async () => {
    const hop = await fakeHop({ answers: { RCPT: wordyRefusal } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    const { note } = await rig.deliver(body, 'a', 'b');
    expect(note?.attempt).toMatchObject({ route: 'out', hop: `127.0.0.1:${hop.port}` });
    expect(note?.attempt?.reply).toMatch(/^450 4\.2\.0 x{200,}$/);
    expect(note?.attempt?.reply.length).toBeLessThanOrEqual(256);
  });

  it('is left out where all is delivered', async () => {
    const hop = await fakeHop();
    expect((await new RelayRig(routeTo([smtp(hop.port)])).deliver(body)).note).toBeUndefined();
  });
});
