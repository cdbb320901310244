/**
 * How long a commit takes on this disk at this moment: a small queue with a fixed light load of its own, beside the
 * one that is measured. Where both grow slow together, it was the machine.
 */
import { envelope, open, patternBytes, store } from '../../queue/children/spool.mjs';

const everyMs = 100;
const groupSize = 32;
const body = patternBytes(2_500, 11);

export class Yardstick {
  #directory;
  #commits = 0;
  #seconds = 0;
  #running = true;
  #loop;

  constructor(directory) {
    this.#directory = directory;
    this.#loop = this.#run();
  }

  /** Mean seconds of a commit since the last call. */
  takeSecondsPerCommit() {
    const mean = this.#seconds / this.#commits;
    this.#commits = 0;
    this.#seconds = 0;
    return mean;
  }

  async close() {
    this.#running = false;
    await this.#loop;
  }

  async #run() {
    const commit = ({ seconds }) => {
      this.#commits++;
      this.#seconds += seconds;
    };
    const { spool } = await open(this.#directory, 'yardstick', { hooks: { commit } });
    while (this.#running) {
      await storeAndDeliver(spool);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    await spool.close();
  }
}

async function storeAndDeliver(spool) {
  await Promise.all(Array.from({ length: groupSize }, () => store(spool, body)));
  const leases = await spool.lease('office', Date.now(), groupSize);
  const delivered = [{ address: envelope().recipients[0].address, state: 'delivered', lastReply: '' }];
  await Promise.all(leases.map((lease) => spool.settle(lease, delivered, Date.now())));
}
