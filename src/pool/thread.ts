/**
 * The entry of a pool thread: finds the task and turns how it ends into a plain answer. No LMDB, no log, no native
 * addon in here (a thread may be terminated at any moment).
 */
import { describeError, errorCodeOf } from '../base/errors.js';
import { askDnsbls } from './tasks/dnsbl.js';
import { checkPassword } from './tasks/password.js';
import type { ThreadAnswer, ThreadJob } from './tasks.js';

export default async function runTask(job: ThreadJob): Promise<ThreadAnswer<unknown>> {
  try {
    return { kind: 'value', value: await perform(job) };
  } catch (error) {
    if (errorCodeOf(error) === 'POOL_TIMEOUT') return { kind: 'timeout' };
    return { kind: 'failed', message: describeError(error) };
  }
}

function perform(job: ThreadJob): Promise<unknown> {
  return job.name === 'dnsbl' ? askDnsbls(job.input) : checkPassword(job.input);
}
