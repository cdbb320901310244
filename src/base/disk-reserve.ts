/** Where `limits.diskReserve` begins to hold: the worker's room monitor and `postern check` go by the same number. */

/**
 * What must have come in to a worker since its last look at the disk before it is taken for too old, so that a disk near
 * its reserve is not asked for each piece of a message. So where a worker has no more than that above the reserve, there
 * is no room.
 */
export const lookAgainBytes = 2 ** 20;

/** With less free, new mail is refused. 0: no reserve is kept. */
export function leastFreeBytes(diskReserve: number, workers: number): number {
  return diskReserve === 0 ? 0 : diskReserve + lookAgainBytes * workers;
}
