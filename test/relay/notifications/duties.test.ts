import { describe, expect, test } from 'vitest';

import type { QueuedMessage, QueuedRecipient } from '../../../src/queue/spool.js';
import type { CarryOutcome, Handover } from '../../../src/relay/carrier.js';
import { dutiesOf, owesAnything, type DutyRules } from '../../../src/relay/notifications/duties.js';
import { arrivedAtMs, deferred, hour, leaseOf, minute, outcomeOf, progress, recipient, refused, taken } from './fixtures.js'; // prettier-ignore

const rules: DutyRules = { delayAfterMs: 4 * hour, expireMs: 120 * hour, firstRetryMs: 5 * minute };
const joe = 'joe@example.net';

/** `failure: joe@example.net failed`, and what is asked first agrees with what is found. */
function owed(
  message: Partial<QueuedMessage>,
  outcome: CarryOutcome,
  afterMs = minute,
  changes: Partial<DutyRules> = {},
): string[] {
  const all = { ...rules, ...changes };
  const lease = leaseOf(message);
  const { due, unwanted, nobody } = dutiesOf(lease, outcome, all, arrivedAtMs + afterMs);
  const found = [
    ...due.map(
      ({ kind, told }) =>
        `${kind}: ${told.map((each) => `${each.recipient.address} ${each.action}`).join(', ')}`,
    ),
    ...unwanted.map((address) => `unwanted: ${address}`),
    ...nobody.map((told) => `nobody: ${told.recipient.address}`),
  ];
  // It may promise in vain, never the other way round.
  if (!owesAnything(lease, outcome, all, arrivedAtMs + afterMs)) expect(found).toEqual([]);
  return found;
}

describe('C-071, C-122: failures are told unless NOTIFY says no', () => {
  test.each([
    [undefined, ['failure: joe@example.net failed'], 'NOTIFY not given'],
    [['FAILURE'], ['failure: joe@example.net failed'], 'asked for'],
    [['SUCCESS', 'FAILURE', 'DELAY'], ['failure: joe@example.net failed'], 'among others'],
    [['SUCCESS', 'DELAY'], ['unwanted: joe@example.net'], 'left out'],
    [[], ['unwanted: joe@example.net'], 'NEVER'],
  ] as [QueuedRecipient['notify'], string[], string][])('NOTIFY %j: %j (%s)', (notify, expected) => {
    expect(owed({ recipients: [recipient(joe, { notify })] }, outcomeOf([refused()]))).toEqual(expected);
  });

  test('one notification for all recipients of the attempt, those who do not want any left out', () => {
    const recipients = [recipient('a@x.test'), recipient('b@x.test', { notify: [] }), recipient('c@x.test')];
    const outcome = outcomeOf(['a', 'b', 'c'].map((name) => refused(`${name}@x.test`)));
    expect(owed({ recipients }, outcome)).toEqual([
      'failure: a@x.test failed, c@x.test failed',
      'unwanted: b@x.test',
    ]);
  });

  test('recipients of other destinations, and those who have theirs already, are not in it', () => {
    const recipients = [
      recipient('a@x.test'),
      recipient('b@x.test', { route: 'other' }),
      recipient('c@x.test', { state: 'delivered' }),
    ];
    expect(owed({ recipients }, outcomeOf([refused('a@x.test')]))).toEqual(['failure: a@x.test failed']);
  });

  test('two recipients that are spelt alike are two entries', () => {
    const recipients = [recipient(joe, { originalRecipient: 'rfc822;a@x' }), recipient(joe)];
    expect(owed({ recipients }, outcomeOf([refused()]))).toEqual([`failure: ${joe} failed, ${joe} failed`]);
  });
});

describe('C-072, C-075, C-126: nothing goes to the null reverse-path', () => {
  test.each([
    ['failed', refused(), ['nobody: joe@example.net']],
    ['late', deferred(), []],
    ['delivered', taken(), []],
  ])('%s', (_what, result, expected) => {
    const recipients = [recipient(joe, { notify: ['SUCCESS', 'FAILURE', 'DELAY'] })];
    expect(owed({ reversePath: '', recipients }, outcomeOf([result]), 5 * hour)).toEqual(expected);
  });

  test('a notification of ours that fails goes to the postmaster', () => {
    expect(owed({ reversePath: '', isNotification: true }, outcomeOf([refused()]))).toEqual([
      `postmaster: ${joe} failed`,
    ]);
  });

  test('a report to the postmaster that fails goes nowhere: no loop', () => {
    const message = { reversePath: '', isNotification: true, recipients: [recipient(joe, { notify: [] })] };
    expect(owed(message, outcomeOf([refused()]))).toEqual([`nobody: ${joe}`]);
  });

  test('a notification that is late is told nobody', () => {
    expect(owed({ reversePath: '', isNotification: true }, outcomeOf([deferred()]), 5 * hour)).toEqual([]);
  });
});

describe('C-122: a delay is told once, in time', () => {
  const told = [`delay: ${joe} delayed`];
  test.each([
    [4 * hour - 1, {}, {}, [], 'not yet'],
    [4 * hour, {}, {}, told, 'at the age that was set'],
    [4 * hour, { routes: [progress({ delayNotified: true })] }, {}, [], 'once for each destination'],
    [
      4 * hour,
      { routes: [progress({ route: 'other', delayNotified: true }), progress()] },
      {},
      told,
      'another destination',
    ],
    [4 * hour, { recipients: [recipient(joe, { notify: ['DELAY'] })] }, {}, told, 'asked for'],
    [
      4 * hour,
      { recipients: [recipient(joe, { notify: ['FAILURE', 'SUCCESS'] })] },
      {},
      [],
      'left out of NOTIFY',
    ],
    [4 * hour, { recipients: [recipient(joe, { notify: [] })] }, {}, [], 'NEVER'],
    [400 * hour, {}, { delayAfterMs: 0 }, [], '0: never'],
    [120 * hour - 5 * minute, {}, {}, [], 'the failure would follow at once'],
    [120 * hour - 6 * minute, {}, {}, told, 'there is one more attempt in between'],
    [50 * hour, { routes: [progress({ attempts: 2 })] }, {}, [], 'F-30: old by the clock alone'],
  ] as [number, Partial<QueuedMessage>, Partial<DutyRules>, string[], string][])(
    'after %i ms with %j and %j: %j (%s)',
    (afterMs, message, changes, expected) => {
      expect(owed(message, outcomeOf([deferred()]), afterMs, changes)).toEqual(expected);
    },
  );

  test('a caller that tried nothing because of an outage knows that the time has passed', () => {
    const message = { routes: [progress({ attempts: 1 })] };
    expect(owed(message, outcomeOf([deferred()], { untried: true }), 5 * hour)).toEqual(told);
  });

  test('only the recipients that are still pending are in it', () => {
    const recipients = [recipient('a@x.test'), recipient('b@x.test'), recipient('c@x.test')];
    const outcome = outcomeOf([taken('a@x.test'), refused('b@x.test'), deferred('c@x.test')]);
    expect(owed({ recipients }, outcome, 5 * hour)).toEqual([
      'failure: b@x.test failed',
      'delay: c@x.test delayed',
    ]);
  });
});

describe('C-124, C-125: success is told by the last that speaks DSN', () => {
  const asked = { recipients: [recipient(joe, { notify: ['SUCCESS'] })] };
  test.each([
    ['final', asked, [`success: ${joe} delivered`], 'nobody further: delivered'],
    ['relayed', asked, [`success: ${joe} relayed`], 'the hop cannot tell: relayed'],
    ['dsn', asked, [], 'the hop took NOTIFY and tells himself'],
    [undefined, asked, [`success: ${joe} relayed`], 'no more is claimed than is known'],
    ['final', {}, [], 'not asked for'],
    ['final', { recipients: [recipient(joe, { notify: ['FAILURE', 'DELAY'] })] }, [], 'not asked for'],
    ['relayed', { recipients: [recipient(joe, { notify: [] })] }, [], 'NEVER'],
  ] as [Handover | undefined, Partial<QueuedMessage>, string[], string][])(
    '%s, %j: %j (%s)',
    (handover, message, expected) => {
      expect(owed(message, outcomeOf([taken()], { handover }))).toEqual(expected);
    },
  );
});

describe('what is asked after every attempt', () => {
  test('says no for mail that is delivered or young, so that it is settled at once', () => {
    const nowMs = arrivedAtMs + minute;
    expect(owesAnything(leaseOf(), outcomeOf([taken()], { handover: 'final' }), rules, nowMs)).toBe(false);
    expect(owesAnything(leaseOf(), outcomeOf([deferred()]), rules, nowMs)).toBe(false);
  });
});
