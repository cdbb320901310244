/**
 * What the queue tells its process while it works, as metrics and log lines for an operator. What follows from a failed
 * commit is the worker's.
 */
import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Meters } from '../metrics/meters.js';
import type { SpoolHooks } from '../queue/spool.js';

/** The worker, as far as the queue makes it act. */
export interface QueueListener {
  /** Nothing more may be acknowledged: it ends in order. */
  fail(): void;
  /** A commit found no space, or finds space again. */
  diskFull(full: boolean): void;
}

/** @param primary what goes to the primary as it is */
export function queueHooks(
  log: Log,
  meters: Meters,
  primary: Pick<SpoolHooks, 'phase' | 'unusable'>,
  worker: QueueListener,
): SpoolHooks {
  const seconds = meters.queueCommitSeconds.of();
  const messages = meters.queueCommitMessages.of();
  return {
    ...primary,
    commit: (observed) => {
      seconds.observe(observed.seconds);
      messages.observe(observed.messages);
    },
    failed: (error) => {
      log.fatal(
        { event: 'queue.failed', err: describeError(error) },
        'a commit to the queue failed: this worker accepts nothing more, answers 451 and is replaced. Look at the disk.',
      );
      worker.fail();
    },
    damaged: (what) => {
      meters.queueDamagedTotal.of().value += 1;
      log.error(
        { event: 'queue.damaged', ...what },
        'a queue file or record cannot be used; it stays where it is until all else in the file has drained',
      );
    },
    retired: (file) => log.debug({ event: 'queue.retired', file }),
    parked: ({ id, reason }) => {
      meters.queueParkedTotal.of().value += 1;
      log.error(
        { event: 'message.parked', qid: id, reason },
        'a message was parked: it is not tried again until you release it. `postern queue show` has its attempts.',
      );
    },
    reserveStuck: (reason) =>
      log.error(
        { event: 'queue.reserve-stuck', err: reason },
        'the space that the queue keeps for a full disk can be neither made nor freed. Look at the disk.',
      ),
    diskFull: (full) => {
      worker.diskFull(full);
      meters.queueDiskFull.of().value = Number(full);
      if (full)
        log.error(
          { event: 'queue.disk-full' },
          'the disk is full: new mail gets 452, the relay goes on with the space kept for it. Make room.',
        );
      else log.info({ event: 'queue.disk-room' }, 'the queue can be written again');
    },
  };
}
