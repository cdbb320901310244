/** From an attempt's outcome to a message in the queue, with a queue that only remembers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';

import { PosternError } from '../../../src/base/errors.js';
import type { Config, NotificationsConfig } from '../../../src/config/config.js';
import type { MessageWriter, NewEnvelope, QueuedMessage } from '../../../src/queue/spool.js';
import type { Notifier } from '../../../src/relay/notifier.js';
import { openNotifier } from '../../../src/relay/notifications/sender-notifier.js';
import { routeTo } from '../relay-rig.js';
import { arrivedAtMs, deferred, hour, leaseOf, minute, originalText, outcomeOf, progress, recipient, refused, taken } from './fixtures.js'; // prettier-ignore
import { one, parseReport } from './mime.js';

const notifications: NotificationsConfig = {
  enabled: true,
  delayAfterMs: 4 * hour,
  route: 'out',
  templateFile: undefined,
  perSenderPerHour: 20,
  perHour: 1000,
  keepFailedMs: 7 * 24 * hour,
};

type Settings = Partial<Pick<Config, 'postmaster' | 'domains' | 'listeners'>> & {
  readonly notifications?: Partial<NotificationsConfig>;
};

interface Stored {
  readonly envelope: NewEnvelope;
  readonly bytes: Buffer;
}

class Rig {
  readonly stored: Stored[] = [];
  readonly aborted: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly lines: Record<string, unknown>[] = [];
  commitError: Error | undefined;
  monotonicMs = 0;
  nowMs = arrivedAtMs + hour;
  readonly notifier: Notifier;

  constructor(settings: Settings = {}) {
    const { counts, lines } = this;
    this.notifier = openNotifier({
      config: {
        hostname: 'mx.example.org',
        postmaster: 'postmaster@example.org',
        domains: [{ names: ['example.org'], recipients: { kind: 'any' }, route: 'inside' }],
        listeners: [],
        routes: { out: routeTo([], { name: 'out' }), inside: routeTo([], { name: 'inside' }) },
        ...settings,
        notifications: { ...notifications, ...settings.notifications },
      },
      spool: { begin: () => this.#begin() },
      log: pino(
        { level: 'debug' },
        { write: (text: string) => lines.push(JSON.parse(text) as Record<string, unknown>) },
      ),
      meters: {
        relayNotificationsTotal: {
          of: (...labels) => ({
            get value() {
              return counts[labels.join(' ')] ?? 0;
            },
            set value(value) {
              counts[labels.join(' ')] = value;
            },
          }),
        },
      },
      now: () => this.nowMs,
      monotonicNow: () => this.monotonicMs,
    });
  }

  get events(): unknown[] {
    return this.lines.map(({ event }) => event);
  }

  /** States by address after a refusal of all recipients. */
  async fail(message: Partial<QueuedMessage> = {}): Promise<string[]> {
    const lease = leaseOf(message);
    const outcome = outcomeOf(lease.message.recipients.map(({ address }) => refused(address)));
    expect(this.notifier.owes(lease, outcome, this.nowMs)).toBe(true);
    const { results } = await this.notifier.conclude(lease, outcome, this.nowMs);
    return results.map(({ state }) => state);
  }

  #begin(): MessageWriter {
    const id = `0D9REPORT000000${this.stored.length + this.aborted.length}`;
    const slices: Buffer[] = [];
    return {
      id,
      bytes: 0,
      congested: false,
      onWritable: undefined,
      write: (slice) => void slices.push(slice),
      commit: async (envelope) => {
        await Promise.resolve();
        if (this.commitError !== undefined) throw this.commitError;
        this.stored.push({ envelope, bytes: Buffer.concat(slices) });
      },
      abort: () => void this.aborted.push(id),
    };
  }
}

describe('a failure', () => {
  test('C-071: is told from <> to the reverse-path alone, and is bounced once that is on disk', async () => {
    const rig = new Rig();
    expect(await rig.fail()).toEqual(['bounced']);
    expect(rig.stored.map(({ envelope }) => envelope)).toEqual([
      {
        reversePath: '',
        recipients: [{ address: 'sender@example.org', route: 'inside', notify: undefined }],
        body: '7BIT',
        smtpUtf8: false,
        arrivedAtMs: rig.nowMs,
        listener: 'postern',
        clientAddress: '',
        clientName: '',
        user: '',
        sessionId: 'SESSION00001',
        isNotification: true,
      },
    ]);
    expect(rig.counts).toEqual({ 'failure sent': 1 });
    expect(rig.lines).toMatchObject([
      { event: 'notification.sent', qid: '0D9REPORT0000000', of: '0D9ORIGINAL00001', sid: 'SESSION00001', to: 'sender@example.org', kind: 'failure', recipients: 1 }, // prettier-ignore
    ]);
  });

  test('C-127: says which recipients, why and by whose word', async () => {
    const rig = new Rig();
    await rig.fail();
    const { groups } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
    expect(groups[1]?.slice(0, 5)).toEqual([
      ['final-recipient', 'rfc822; joe@example.net'],
      ['action', 'failed'],
      ['status', '5.1.1'],
      ['remote-mta', 'dns; mx.example.net'],
      ['diagnostic-code', 'smtp; 550 5.1.1 No such user'],
    ]);
  });

  test('of an obstacle of ours names no hop', async () => {
    const rig = new Rig();
    const obstacle = {
      ...refused(),
      lastReply: '5.6.7 the next hop does not support SMTPUTF8',
      fromHop: false,
    };
    await rig.notifier.conclude(leaseOf(), outcomeOf([obstacle]), rig.nowMs);
    const { groups } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
    expect(groups[1]?.map(([name]) => name)).not.toContain('remote-mta');
    expect(one(groups[1] ?? [], 'diagnostic-code')).toBe(
      'x-postern; 5.6.7 the next hop does not support SMTPUTF8',
    );
    expect(one(groups[1] ?? [], 'status')).toBe('5.6.7');
  });

  test.each([
    [{}, 'text/rfc822-headers', 'by default its header'],
    [{ ret: 'HDRS' }, 'text/rfc822-headers', 'RET=HDRS'],
    [{ ret: 'FULL' }, 'message/rfc822', 'RET=FULL'],
  ] as [Partial<QueuedMessage>, string, string][])(
    'C-122: returns, for %j, %s: %s',
    async (message, type) => {
      const rig = new Rig();
      await rig.fail(message);
      const { parts } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
      expect(one(parts[2]?.fields ?? [], 'content-type')).toBe(type);
    },
  );

  test('of 8-bit text that goes back whole is 8BITMIME', async () => {
    const rig = new Rig();
    const lease = leaseOf({ ret: 'FULL', body: '8BITMIME' }, `${originalText}zwölf\r\n`);
    await rig.notifier.conclude(lease, outcomeOf([refused()]), rig.nowMs);
    expect(rig.stored[0]?.envelope).toMatchObject({ body: '8BITMIME', smtpUtf8: false });
  });

  test('C-122: that nobody wanted to hear of is bounced without a word', async () => {
    const rig = new Rig();
    expect(await rig.fail({ recipients: [recipient('joe@example.net', { notify: [] })] })).toEqual([
      'bounced',
    ]);
    expect(rig.stored).toEqual([]);
    expect(rig.counts).toEqual({ 'failure unwanted': 1 });
  });

  test('C-072, C-126: of mail from <> is told nobody, counted and kept', async () => {
    const rig = new Rig();
    expect(await rig.fail({ reversePath: '' })).toEqual(['failed']);
    expect(rig.stored).toEqual([]);
    expect(rig.counts).toEqual({ 'failure unwanted': 1 });
    expect(rig.events).toEqual(['notification.nobody']);
  });

  test('whose sender has no route is kept; what to do is said once', async () => {
    const rig = new Rig({ notifications: { route: undefined } });
    expect(await rig.fail({ reversePath: 'a@elsewhere.test' })).toEqual(['failed']);
    expect(await rig.fail({ reversePath: 'b@elsewhere.test' })).toEqual(['failed']);
    expect(rig.counts).toEqual({ 'failure impossible': 2 });
    expect(rig.lines.map(({ level, msg }) => [level, typeof msg])).toEqual([
      [40, 'string'],
      [30, 'undefined'],
    ]);
    expect(rig.lines).toMatchObject([{ reason: 'no-route' }, { reason: 'no-route' }]);
  });

  test('whose sender is of ours and does not exist is kept; the log says that, and not that a route is missing', async () => {
    const list = { kind: 'list', addresses: ['real@example.org'] } as const;
    const rig = new Rig({ domains: [{ names: ['example.org'], recipients: list, route: 'inside' }] });
    expect(await rig.fail({ reversePath: 'made-up@example.org' })).toEqual(['failed']);
    expect(rig.lines).toMatchObject([
      {
        event: 'notification.impossible',
        reason: 'unknown-recipient',
        msg: expect.stringContaining('in a domain of ours'),
      },
    ]);
    expect(rig.lines[0]?.['msg']).not.toContain('there is no route');
    expect(rig.lines[0]?.['msg']).toContain('add it to the recipients of that domain');
  });

  test('of a sender of ours who does not exist is kept: his address was made up', async () => {
    const rig = new Rig({
      domains: [
        { names: ['example.org'], recipients: { kind: 'list', addresses: ['ann'] }, route: 'inside' },
      ],
    });
    expect(await rig.fail()).toEqual(['failed']);
    expect(await rig.fail({ reversePath: 'ann@example.org' })).toEqual(['bounced']);
  });

  test('A-122: beyond the limits is kept, and told again when the hour is over', async () => {
    const rig = new Rig({ notifications: { perSenderPerHour: 2, perHour: 3 } });
    expect([await rig.fail(), await rig.fail(), await rig.fail()]).toEqual([
      ['bounced'],
      ['bounced'],
      ['failed'],
    ]);
    expect(await rig.fail({ reversePath: 'b@elsewhere.test' })).toEqual(['bounced']);
    expect(await rig.fail({ reversePath: 'c@elsewhere.test' })).toEqual(['failed']);
    expect(rig.counts).toEqual({ 'failure sent': 3, 'failure rate_limited': 2 });
    rig.monotonicMs = hour;
    expect(await rig.fail()).toEqual(['bounced']);
  });

  test('F-30: a jump of the wall clock does not refill the limits', async () => {
    const rig = new Rig({ notifications: { perSenderPerHour: 1 } });
    await rig.fail();
    rig.nowMs += 24 * hour;
    expect(await rig.fail()).toEqual(['failed']);
  });

  test('whose notification cannot be stored stays pending, so that it is told with the next attempt', async () => {
    const rig = new Rig();
    rig.commitError = new PosternError('SPOOL_FULL', 'the disk is full');
    expect(await rig.fail()).toEqual(['pending']);
    expect(rig.aborted).toEqual(['0D9REPORT0000000']);
    expect(rig.counts).toEqual({});
    expect(rig.lines).toMatchObject([
      { event: 'notification.not-stored', level: 50, reason: 'the disk is full' },
    ]);
    rig.commitError = undefined;
    expect(await rig.fail()).toEqual(['bounced']);
  });

  test('of a damaged message is told without it', async () => {
    const rig = new Rig();
    const result = { ...refused(), lastReply: 'the stored message is damaged', fromHop: false };
    const { results } = await rig.notifier.conclude(
      leaseOf(),
      outcomeOf([result], { corrupt: true }),
      rig.nowMs,
    );
    expect(results.map(({ state }) => state)).toEqual(['bounced']);
    expect(parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0)).parts.length).toBe(2);
  });

  test('of a message that cannot be read is told without it', async () => {
    const rig = new Rig();
    const lease = {
      ...leaseOf({ ret: 'FULL' }),
      body: async function* () {
        yield await Promise.resolve(Buffer.from('Subject: x\r\n'));
        throw new PosternError('SPOOL_CORRUPT', 'the checksum does not match');
      },
    };
    await rig.notifier.conclude(lease, outcomeOf([refused()]), rig.nowMs);
    expect(parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0)).parts.length).toBe(2);
    expect(rig.events).toEqual(['notification.original-unreadable', 'notification.sent']);
  });

  test('among other results leaves those as they are', async () => {
    const rig = new Rig();
    const recipients = ['a', 'b', 'c', 'd'].map((name) =>
      recipient(`${name}@x.test`, name === 'd' ? { notify: [] } : {}),
    );
    const outcome = outcomeOf([
      taken('a@x.test'),
      refused('b@x.test'),
      deferred('c@x.test'),
      refused('d@x.test'),
    ]);
    const { results, delayNotified } = await rig.notifier.conclude(
      leaseOf({ recipients }),
      outcome,
      rig.nowMs,
    );
    expect(results.map(({ address, state }) => `${address} ${state}`)).toEqual([
      'a@x.test delivered',
      'b@x.test bounced',
      'c@x.test pending',
      'd@x.test bounced',
    ]);
    expect(delayNotified).toBe(false);
  });
});

describe('C-075: a notification that fails', () => {
  const ours = { reversePath: '', isNotification: true, id: '0D9NOTIFICATION1' } as const;

  test('goes whole to the postmaster, with NOTIFY=NEVER, and is bounced then', async () => {
    const rig = new Rig();
    expect(await rig.fail({ ...ours, recipients: [recipient('forged@example.com')] })).toEqual(['bounced']);
    expect(rig.stored[0]?.envelope).toMatchObject({
      reversePath: '',
      recipients: [{ address: 'postmaster@example.org', route: 'inside', notify: [] }],
      isNotification: true,
    });
    const { parts, groups } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
    expect(one(groups[1] ?? [], 'final-recipient')).toBe('rfc822; forged@example.com');
    expect(one(parts[2]?.fields ?? [], 'content-type')).toBe('message/rfc822');
    expect(rig.counts).toEqual({ 'postmaster sent': 1 });
  });

  test('again on its way to the postmaster is logged and kept: never a loop', async () => {
    const rig = new Rig();
    const recipients = [recipient('postmaster@example.org', { notify: [] })];
    expect(await rig.fail({ ...ours, recipients })).toEqual(['failed']);
    expect(rig.stored).toEqual([]);
    expect(rig.counts).toEqual({ 'postmaster impossible': 1 });
    expect(rig.lines).toMatchObject([{ event: 'notification.nobody', level: 50 }]);
  });

  test('is kept where there is no postmaster', async () => {
    const rig = new Rig({ postmaster: undefined, domains: [] });
    expect(await rig.fail(ours)).toEqual(['failed']);
    expect(rig.counts).toEqual({ 'postmaster impossible': 1 });
    expect(rig.lines[0]?.['msg']).toContain('set postmaster');
  });
});

describe('C-122: a delay', () => {
  const late = arrivedAtMs + 5 * hour;

  test('is told once, with the time until which it is tried', async () => {
    const rig = new Rig();
    const lease = leaseOf();
    expect(rig.notifier.owes(lease, outcomeOf([deferred()]), late)).toBe(true);
    const { results, delayNotified } = await rig.notifier.conclude(lease, outcomeOf([deferred()]), late);
    expect(results.map(({ state }) => state)).toEqual(['pending']);
    expect(delayNotified).toBe(true);
    const { groups } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
    // The rig's routes expire after a day.
    expect(one(groups[1] ?? [], 'will-retry-until')).toBe('Sun, 23 Nov 2025 11:18:09 +0000');
    const told = leaseOf({ routes: [progress({ delayNotified: true })] });
    expect(rig.notifier.owes(told, outcomeOf([deferred()]), late + minute)).toBe(false);
  });

  test('that cannot be stored is tried again with the next attempt; beyond the limits it is not', async () => {
    const rig = new Rig({ notifications: { perSenderPerHour: 1 } });
    rig.commitError = new PosternError('SPOOL_FULL', 'the disk is full');
    expect((await rig.notifier.conclude(leaseOf(), outcomeOf([deferred()]), late)).delayNotified).toBe(false);
    rig.commitError = undefined;
    expect((await rig.notifier.conclude(leaseOf(), outcomeOf([deferred()]), late)).delayNotified).toBe(true);
    expect(rig.counts).toEqual({ 'delay rate_limited': 1 });
  });

  test('of a destination that looks MX up knows the schedule of its route', async () => {
    const rig = new Rig();
    const recipients = [recipient('joe@example.net', { route: 'out/example.net' })];
    const routes = [progress({ route: 'out/example.net' })];
    const lease = { ...leaseOf({ recipients, routes }), route: 'out/example.net' };
    expect(rig.notifier.owes(lease, outcomeOf([deferred()]), arrivedAtMs + 23 * hour)).toBe(true);
    expect(rig.notifier.owes(lease, outcomeOf([deferred()]), arrivedAtMs + 24 * hour)).toBe(false);
  });
});

describe('C-125: a success that was asked for', () => {
  test.each([
    ['final', 'delivered'],
    ['relayed', 'relayed'],
  ] as const)(
    'with handover %s is %s, its header goes back and the recipient stays delivered',
    async (handover, action) => {
      const rig = new Rig();
      const lease = leaseOf({
        ret: 'FULL',
        recipients: [recipient('joe@example.net', { notify: ['SUCCESS'] })],
      });
      const outcome = outcomeOf([taken()], { handover });
      expect(rig.notifier.owes(lease, outcome, rig.nowMs)).toBe(true);
      const { results } = await rig.notifier.conclude(lease, outcome, rig.nowMs);
      expect(results.map(({ state }) => state)).toEqual(['delivered']);
      const { parts, groups } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
      expect(one(groups[1] ?? [], 'action')).toBe(action);
      expect(one(groups[1] ?? [], 'status')).toBe('2.1.5');
      expect(one(parts[2]?.fields ?? [], 'content-type')).toBe('text/rfc822-headers');
      expect(rig.counts).toEqual({ 'success sent': 1 });
    },
  );
});

describe('many at once', () => {
  test('are composed a few at a time, all of them', async () => {
    const rig = new Rig({ notifications: { perSenderPerHour: 1000 } });
    let reading = 0;
    let most = 0;
    const slow = {
      ...leaseOf(),
      body: async function* () {
        most = Math.max(most, ++reading);
        await new Promise((resolve) => setTimeout(resolve, 1));
        try {
          yield Buffer.from(originalText);
        } finally {
          reading--;
        }
      },
    };
    const all = Array.from({ length: 100 }, () =>
      rig.notifier.conclude(slow, outcomeOf([refused()]), rig.nowMs),
    );
    await Promise.all(all);
    expect(rig.stored.length).toBe(100);
    expect(most).toBeLessThanOrEqual(8);
  });
});

describe('the config', () => {
  test('enabled: false tells nobody anything', async () => {
    const rig = new Rig({ notifications: { enabled: false } });
    expect(rig.notifier.owes(leaseOf(), outcomeOf([refused()]), rig.nowMs)).toBe(false);
    expect(await rig.notifier.conclude(leaseOf(), outcomeOf([refused()]), rig.nowMs)).toEqual({
      results: [refused()],
      delayNotified: false,
    });
  });

  test("a template's words are in the notification; one with a fault stops the start", async () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-words-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const templateFile = join(directory, 'words.txt');
    writeFileSync(templateFile, '[failure]\nSubject: Back to {sender}\n\nSorry.\n{recipients}\n');
    const rig = new Rig({ notifications: { templateFile } });
    await rig.fail();
    const { header, parts } = parseReport(rig.stored[0]?.bytes ?? Buffer.alloc(0));
    expect(one(header.fields, 'subject')).toBe('Back to sender@example.org');
    expect(parts[0]?.body).toMatch(/^Sorry\.\r\n {2}<joe@example\.net>\r\n/);
    writeFileSync(templateFile, '[failure]\nSorry.\n');
    expect(() => new Rig({ notifications: { templateFile } })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});
