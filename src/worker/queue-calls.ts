/** Answers the admin API's questions about this worker's shard. */
import { PosternError, describeError } from '../base/errors.js';
import type { QueueAnswer, QueueCall, QueueDetail, QueueRow, QueueStats } from '../base/messages.js';
import type { QueuedMessage, Spool } from '../queue/spool.js';

// What `queue show` prints of a message: enough for any header section that we accept by default.
const headBytes = 64 * 1024;

export async function answerQueueCall(spool: Spool, slot: number, call: QueueCall): Promise<QueueAnswer> {
  try {
    return { ok: true, value: await perform(spool, slot, call) };
  } catch (error) {
    if (error instanceof PosternError) return { ok: false, code: error.code, message: error.message };
    return { ok: false, code: 'INTERNAL', message: describeError(error) };
  }
}

async function perform(
  spool: Spool,
  slot: number,
  call: QueueCall,
): Promise<{ total: number; messages: QueueRow[] } | QueueDetail | QueueStats | null> {
  switch (call.method) {
    case 'list': {
      const found = spool.list({ state: call.state, offset: call.offset, limit: call.limit });
      return { total: found.total, messages: found.messages.map((message) => toRow(message, slot)) };
    }
    case 'stats':
      return toStats(spool);
    case 'show':
      return toDetail(spool.show(call.id), slot, await spool.head(call.id, headBytes));
    case 'hold':
    case 'release':
    case 'retry':
    case 'delete':
      await spool[call.method](call.id);
      return null;
  }
}

function toStats(spool: Spool): QueueStats {
  const stats = spool.stats();
  const oldest = stats.oldestArrivedAtMs;
  return {
    messages: { ...stats.messages },
    bytes: stats.bytes,
    oldestSeconds: oldest === undefined ? 0 : Math.max(0, (Date.now() - oldest) / 1000),
    files: stats.files,
  };
}

function toRow(message: QueuedMessage, slot: number): QueueRow {
  const waits = message.state === 'active' || message.state === 'deferred';
  return {
    id: message.id,
    slot,
    state: message.state,
    bytes: message.bytes,
    arrivedAt: new Date(message.arrivedAtMs).toISOString(),
    nextAttemptAt: waits ? new Date(message.nextAttemptAtMs).toISOString() : null,
    attempts: message.attempts,
    from: message.reversePath,
    recipients: message.recipients.map((recipient) => ({ ...recipient })),
  };
}

function toDetail(message: QueuedMessage, slot: number, head: Buffer): QueueDetail {
  const end = head.indexOf('\r\n\r\n');
  return {
    ...toRow(message, slot),
    listener: message.listener,
    clientAddress: message.clientAddress,
    clientName: message.clientName,
    user: message.user,
    sessionId: message.sessionId,
    header: (end < 0 ? head : head.subarray(0, end + 2)).toString('utf8'),
  };
}
