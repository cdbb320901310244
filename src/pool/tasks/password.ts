/**
 * Checks one password against one hash, in a pool thread. scrypt itself runs in libuv's pool, so the thread's DNS
 * tasks go on meanwhile; pool.ts lets one hash per thread run at a time.
 */
import { PosternError } from '../../base/errors.js';
import { verifyPassword } from '../password-hash.js';
import type { PasswordTask } from '../tasks.js';

/** The default cost takes 0.1 s; this is for a machine so busy, or a disk so stuck in libuv's pool, that the client
 *  is better told to come again. */
const deadlineMs = 5_000;

/** @throws PosternError POOL_TIMEOUT */
export async function checkPassword(task: PasswordTask): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new PosternError('POOL_TIMEOUT', 'the hash took too long')), deadlineMs);
  });
  try {
    return await Promise.race([verifyPassword(task.password, task.hash), late]);
  } finally {
    clearTimeout(timer);
  }
}
