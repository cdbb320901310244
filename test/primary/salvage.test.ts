import { pino } from 'pino';
import { expect, test } from 'vitest';

import type { FromWorker } from '../../src/base/messages.js';
import { Salvage, type SalvageParts } from '../../src/primary/salvage.js';

const heartbeat: FromWorker = { type: 'heartbeat', leased: 0, connections: 0, files: [] };
const file = '/queue/quarantine/slot-0-OLD-0.mdb';

test('waits until every queue file has been read: a newer copy found later would be sent as well', async () => {
  const worker = { isReading: true, state: 'ready', isGone: false };
  const supervisor = {
    state: 'ready',
    isHandingOver: false,
    slots: [{ isReady: true, current: worker }],
    workers: [worker],
  };
  const asked: unknown[] = [];
  const parts = {
    supervisor,
    questions: {
      ask: (workers: unknown[]) => {
        asked.push(...workers);
        return Promise.resolve({ replies: new Map(), missing: 1 });
      },
    },
    queue: { quarantined: [file], release: () => undefined },
    log: pino({ level: 'silent' }),
  };
  // oxlint-disable-next-line no-unsafe-type-assertion -- what of these salvage uses
  const salvage = new Salvage(parts as unknown as SalvageParts);
  const beat = () => salvage.message(undefined as never, heartbeat);
  beat();
  expect(await salvage.byHand(file)).toMatchObject({ ok: false, code: 'SPOOL_CLOSED' });
  worker.isReading = false;
  supervisor.isHandingOver = true;
  beat();
  expect(await salvage.byHand(file)).toMatchObject({ ok: false, code: 'SPOOL_CLOSED' });
  expect(asked).toEqual([]);
  supervisor.isHandingOver = false;
  beat();
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toEqual([worker]);
});
