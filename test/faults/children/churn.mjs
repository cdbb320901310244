/**
 * A queue with small files that takes and gives messages, files coming and going. Prints each event
 * with the monotonic time, as soon as it is known: `sent`, `acked` (its commit has resolved), `given` (a hop has it, it
 * will be removed). Killed by the test.
 */
import { createHash } from 'node:crypto';

import { messageOf } from './message.mjs';
import { envelope, open, print } from '../../queue/children/spool.mjs';

const [, , directory, generationBytes] = process.argv;
const { spool } = await open(directory, 'churn', { generationBytes: Number(generationBytes) });
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
let next = 0;

async function appendForEver() {
  for (;;) {
    const seed = ++next;
    const id = `churn-${seed}`;
    const body = messageOf(id, seed % 11 === 0 ? 250_000 : 100 + ((seed * 37) % 9000));
    print(`sent ${id} ${createHash('sha256').update(body).digest('hex')}`);
    const writer = spool.begin(Date.now());
    for (let at = 0; at < body.length; at += 65_536) {
      writer.write(body.subarray(at, at + 65_536));
      if (writer.congested) await new Promise((resolve) => (writer.onWritable = resolve));
    }
    await writer.commit(envelope());
    print(`acked ${id} ${monotonicMs()}`);
    // Not as fast as it can: what is in an image is read whole, image after image.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Two of three are delivered, the third waits an hour: it pins its file until it is moved. */
async function deliverForEver() {
  for (;;) {
    const leases = await spool.lease('office', Date.now(), 8);
    for (const lease of leases) {
      const head = await spool.read(lease.message.id, 0, 200);
      const id = /^X-Test-Id: (.*?)\r$/m.exec(head.toString('latin1'))[1];
      const stays = Number(id.slice(6)) % 3 === 0;
      if (!stays) print(`given ${id} ${monotonicMs()}`);
      const results = [
        { address: 'rcpt@example.test', state: stays ? 'pending' : 'delivered', lastReply: '' },
      ];
      await spool.settle(lease, results, Date.now() + 3_600_000);
    }
    if (leases.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

await Promise.all([...Array.from({ length: 4 }, appendForEver), deliverForEver()]);
