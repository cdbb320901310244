/** An AdminBackend that records what it is asked and answers what the test sets. */
import type {
  QueueAnswer,
  QueueCall,
  QueueDetail,
  QueueRow,
  QueueStats,
  ReloadAnswer,
  Status,
} from '../../../src/base/messages.js';
import type { AdminBackend, Readiness } from '../../../src/primary/admin-backend.js';

export const knownId = '01HZXYABCDEF0123';
export const unknownId = '01HZXYABCDEF0124';

export const stats: QueueStats = {
  messages: { active: 1, deferred: 0, held: 0, failed: 0 },
  bytes: 120,
  oldestSeconds: 3,
  files: 1,
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
  header: 'Subject: hello\r\n',
};

export class FakeBackend implements AdminBackend {
  readonly calls: QueueCall[] = [];
  stops = 0;
  scrapes = 0;
  readiness: Readiness = { ok: true, reasons: [] };
  reloadAnswer: ReloadAnswer = { ok: true, changed: ['limits.recipients'], workers: 2 };
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
      workers: [{ slot: 0, pid: 4712, state: 'ready', upSeconds: 12, restarts: 0, connections: 3 }],
      queue: stats,
      quarantined: [],
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

  #answer(call: QueueCall): QueueAnswer {
    if (call.method === 'stats') return { ok: true, value: stats };
    if (call.method === 'list') return { ok: true, value: { total: 1, messages: [row] } };
    if (call.id !== knownId) return { ok: false, code: 'NOT_FOUND', message: 'no such message' };
    return { ok: true, value: call.method === 'show' ? detail : null };
  }
}

/** Scrapes hang until the returned function gives the last one its text. */
export function holdScrapes(backend: FakeBackend): (text: string) => void {
  const waiting: ((text: string) => void)[] = [];
  backend.onScrape = () => new Promise((resolve) => waiting.push(resolve));
  return (text) => waiting.at(-1)?.(text);
}
