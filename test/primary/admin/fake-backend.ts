/** An AdminBackend that records what it is asked and answers what the test sets. */
import { PosternError } from '../../../src/base/errors.js';
import type {
  QueueAnswer,
  QueueCall,
  QueueDetail,
  QueueRow,
  QueueStats,
  ReloadAnswer,
  RouteStatus,
  Status,
} from '../../../src/base/messages.js';
import type { AdminBackend, Readiness } from '../../../src/primary/admin-backend.js';

export const knownId = '01HZXYABCDEF0123';
export const unknownId = '01HZXYABCDEF0124';

export const stats: QueueStats = {
  messages: { active: 1, deferred: 0, held: 0, parked: 0, failed: 0 },
  bytes: 120,
  oldestSeconds: 3,
  files: 1,
  routes: [{ route: 'disk', waiting: 1, hopsResting: 0 }],
  complete: true,
};

const row: QueueRow = {
  id: knownId,
  slot: 0,
  state: 'active',
  bytes: 120,
  arrivedAt: '2026-11-22T11:00:00.000Z',
  nextAttemptAt: null,
  attempts: 1,
  from: 'a@example.org',
  recipients: [{ address: 'b@example.test', route: 'disk', state: 'pending', lastReply: '' }],
};

export const detail: QueueDetail = {
  ...row,
  listener: 'mx',
  clientAddress: '192.0.2.1',
  clientName: 'client.example.org',
  user: '',
  sessionId: 'ABCD00000001',
  ret: 'HDRS',
  envelopeId: 'QQ314159',
  dsn: [
    { address: 'b@example.test', notify: ['FAILURE', 'DELAY'], originalRecipient: 'rfc822;b@example.test' },
  ],
  parked: '',
  attemptLog: [
    { route: 'disk', at: '2026-11-22T11:00:01.000Z', hop: '192.0.2.9:25', reply: '451 4.3.0 later' },
  ],
  header: 'Subject: hello\r\n',
};

export const envelope = {
  reversePath: 'a@example.org',
  recipients: [
    {
      address: 'b@example.test',
      route: 'disk',
      state: 'pending',
      lastReply: '',
      notify: ['FAILURE'],
      originalRecipient: 'rfc822;b@example.test',
    },
  ],
  body: '8BITMIME',
  smtpUtf8: false,
  arrivedAtMs: 1_790_000_000_000,
  listener: 'mx',
  clientAddress: '192.0.2.1',
  clientName: 'client.example.org',
  user: '',
  sessionId: 'ABCD00000001',
  ret: 'HDRS',
  envelopeId: 'QQ314159',
  isNotification: false,
  routes: [
    {
      route: 'disk',
      nextAttemptAtMs: 1_790_000_300_000,
      attempts: 1,
      ended: 1,
      tried: true,
      delayNotified: false,
    },
  ],
  held: false,
  parked: '',
  attemptLog: [{ route: 'disk', atMs: 1_790_000_000_001, hop: '192.0.2.9:25', reply: '451 4.3.0 later' }],
};

/** Stored bytes of the known message, and what an import wrote. */
export const message = Buffer.from('Subject: hello\r\n\r\n\u00e9\r\n', 'latin1');

export class FakeBackend implements AdminBackend {
  readonly calls: QueueCall[] = [];
  readonly frozen: [string, boolean][] = [];
  stops = 0;
  scrapes = 0;
  readiness: Readiness = { ok: true, reasons: [] };
  reloadAnswer: ReloadAnswer = {
    ok: true,
    changed: ['limits.recipients'],
    reread: [],
    changedFiles: [],
    workers: 2,
  };
  queueAnswer: QueueAnswer | undefined;
  onScrape: () => Promise<string> = () => Promise.resolve(`postern_scrapes ${this.scrapes}\n`);
  onStatus: (() => Promise<Status>) | undefined;

  status(): Promise<Status> {
    if (this.onStatus !== undefined) return this.onStatus();
    return Promise.resolve({
      version: '0.1.0',
      hostname: 'mx1.example.org',
      state: 'ready',
      upSeconds: 12.5,
      pid: 4711,
      slots: 2,
      workers: [{ slot: 0, pid: 4712, state: 'ready', upSeconds: 12, restarts: 0, connections: 3 }],
      queue: stats,
      quarantined: ['/data/queue/quarantine/slot-0-x-1.mdb'],
      salvaged: [],
      frozen: ['office'],
    });
  }

  metrics(): Promise<string> {
    this.scrapes++;
    return this.onScrape();
  }

  ready(): Readiness {
    return this.readiness;
  }

  reload(): Promise<ReloadAnswer> {
    return Promise.resolve(this.reloadAnswer);
  }

  stop(): void {
    this.stops++;
  }

  queue(call: QueueCall): Promise<QueueAnswer> {
    this.calls.push(call);
    return Promise.resolve(this.queueAnswer ?? this.#answer(call));
  }

  routes(): RouteStatus[] {
    return [
      { name: 'disk', frozen: false },
      { name: 'office', frozen: true },
    ];
  }

  setFrozen(route: string, frozen: boolean): Promise<void> {
    if (!this.routes().some(({ name }) => name === route))
      return Promise.reject(new PosternError('NOT_FOUND', `no route ${route}`));
    this.frozen.push([route, frozen]);
    return Promise.resolve();
  }

  #answer(call: QueueCall): QueueAnswer {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- those of one message are below
    switch (call.method) {
      case 'stats':
        return { ok: true, value: stats };
      case 'list':
        return { ok: true, value: { total: 1, messages: [row], complete: true } };
      case 'select':
        return { ok: true, value: { ids: [knownId], total: 1, complete: true } };
      case 'rows':
        return { ok: true, value: { total: 1, messages: [row] } };
      case 'survey':
        return { ok: true, value: { found: 1, bytes: 120, domains: ['example.test'] } };
      case 'change':
        return { ok: true, value: { done: call.ids.filter((id) => id === knownId).length } };
      case 'shape':
        return {
          ok: true,
          value: { ageMinutes: [5, 10], rows: [{ domain: 'example.test', counts: [1, 0, 2] }] },
        };
      case 'salvage':
        return {
          ok: true,
          value: { file: call.file, salvaged: 3, known: 1, unreadable: 0, damagedPlaces: 0 },
        };
      case 'import-begin':
        if (call.id === knownId) return { ok: false, code: 'EXISTS', message: 'it is here' };
        return { ok: true, value: null };
      case 'import-write':
      case 'import-commit':
      case 'import-drop':
        return { ok: true, value: null };
      default:
        return call.id === knownId ? this.#ofKnown(call) : notFound;
    }
  }

  #ofKnown(call: QueueCall): QueueAnswer {
    if (call.method === 'show') return { ok: true, value: detail };
    if (call.method === 'envelope') return { ok: true, value: { envelope, bytes: message.length } };
    if (call.method !== 'read') return { ok: true, value: null };
    const data = message.subarray(call.offset, call.offset + call.limit).toString('base64');
    return { ok: true, value: { data } };
  }
}

const notFound: QueueAnswer = { ok: false, code: 'NOT_FOUND', message: 'no such message' };

/** Scrapes hang until the returned function gives the last one its text. */
export function holdScrapes(backend: FakeBackend): (text: string) => void {
  const waiting: ((text: string) => void)[] = [];
  backend.onScrape = () => new Promise((resolve) => waiting.push(resolve));
  return (text) => waiting.at(-1)?.(text);
}
