/**
 * The entry of a pool thread: finds the task and turns how it ends into a plain answer. No LMDB, no log, no native
 * addon in here (a thread may be terminated at any moment).
 */
import { describeError, errorCodeOf } from '../base/errors.js';
import { askDnsbls } from './tasks/dnsbl.js';
import { checkPassword } from './tasks/password.js';
import type { TaskName, Tasks, ThreadAnswer, ThreadJob } from './tasks.js';

const handlers: { readonly [N in TaskName]: (input: Tasks[N]['input']) => Promise<Tasks[N]['output']> } = {
  dnsbl: askDnsbls,
  password: checkPassword,
};

export default async function runTask(job: ThreadJob): Promise<ThreadAnswer> {
  try {
    // pool.run types the input by the name; here both arrive as one.
    const handler = handlers[job.name] as (input: unknown) => Promise<unknown>;
    return { kind: 'value', value: await handler(job.input) };
  } catch (error) {
    if (errorCodeOf(error) === 'POOL_TIMEOUT') return { kind: 'timeout' };
    return { kind: 'failed', message: describeError(error) };
  }
}
