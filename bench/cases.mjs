/**
 * The load cases of `npm run bench`, as data. `load` is laid over the defaults of load/options.mjs; `seconds` is how long
 * new messages are begun, after a warm-up that is not counted.
 */

/**
 * @typedef {object} Case
 * @property {string} name a column of the table and the key in the result file
 * @property {'accept' | 'relay' | 'scrape'} kind accept: into the queue, the next hop never greets; relay: until the sink
 *   has everything; scrape: accept while autocannon reads /metrics
 * @property {Partial<import('./load/options.mjs').LoadOptions>} load
 * @property {number} [ofCapacity] open loop at this fraction of the first case's messages per second
 */

const KiB = 1024;
const kept = { perConnection: Infinity, sessions: 40 };

/** @type {Case[]} */
export const cases = [
  { name: '4 KiB, connections kept, pipelined', kind: 'accept', load: { ...kept } },
  {
    name: '4 KiB, connections kept, one command at a time',
    kind: 'accept',
    load: { ...kept, pipelining: false },
  },
  { name: '4 KiB, a connection per message', kind: 'accept', load: { sessions: 40, perConnection: 1 } },
  { name: '4 KiB, TLS, connections kept', kind: 'accept', load: { ...kept, tls: 'starttls' } },
  { name: '64 KiB', kind: 'accept', load: { ...kept, sizeBytes: 64 * KiB } },
  {
    name: '64 KiB, a dot on every line',
    kind: 'accept',
    load: { ...kept, sizeBytes: 64 * KiB, dotHeavy: true },
  },
  { name: '1 MiB', kind: 'accept', load: { sessions: 10, perConnection: Infinity, sizeBytes: 1024 * KiB } },
  {
    name: '4 KiB, open loop at half of capacity',
    kind: 'accept',
    load: { ...kept, sessions: 200 },
    ofCapacity: 0.5,
  },
  { name: '4 KiB, accepted and relayed to the sink', kind: 'relay', load: { ...kept } },
  { name: '4 KiB, while /metrics is read 20 times a second', kind: 'scrape', load: { ...kept } },
];
