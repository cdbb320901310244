/**
 * A client process of the load generator: some of the sessions, its share of the messages, its own clock. Started by
 * load.mjs, speaks to it over the fork's channel: `ready` → `go`; `progress` twice a second; `stop` → `done`.
 */
import { RecordFile } from './record-file.mjs';
import { Histogram } from './histogram.mjs';
import { MessageTemplate, messageId } from './message.mjs';
import { Session } from './session.mjs';

/**
 * @typedef {import('./session.mjs').Job} Job
 *
 * @typedef {object} Plan one process's share
 * @property {string} run 8 characters, in every id
 * @property {number} index of this process; its message numbers are index, index + step, …
 * @property {number} step number of processes
 * @property {number} sessions
 * @property {number} messages 0: until stopped
 * @property {number} sizeBytes
 * @property {boolean} dotHeavy
 * @property {string} from
 * @property {string[]} to
 * @property {number} rate messages per second of this process; 0: closed loop
 * @property {string | undefined} record
 * @property {boolean} reconnect
 * @property {import('./session.mjs').SessionOptions} session
 */

class Client {
  /** @param {Plan} plan */
  constructor(plan) {
    this.plan = plan;
    this.template = new MessageTemplate({ ...plan, to: plan.to[0] ?? '' });
    this.record = plan.record === undefined ? undefined : new RecordFile(plan.record);
    this.dotTo250 = new Histogram();
    this.startTo250 = new Histogram();
    this.counts = { acked: 0, refused: 0, noReply: 0, notSent: 0, connectionsLost: 0 };
    /** @type {Record<string, number>} by reply or error, so that a failed run says why */
    this.troubles = {};
    this.begun = 0;
    this.finished = 0;
    this.stopping = false;
    this.failed = 0;
    this.reported = false;
    /** Open loop: how many messages are due by now; closed loop: all of them. */
    this.due = 0;
    /** @type {Session[]} sessions that wait for a message to be due */
    this.waiting = [];
    this.startedMs = 0;
    /** @type {NodeJS.Timeout | undefined} */
    this.pacer = undefined;
    this.sessions = Array.from({ length: plan.sessions }, () => new Session(plan.session, this));
  }

  start() {
    const { rate, messages } = this.plan;
    this.startedMs = performance.now();
    if (rate === 0) this.due = messages === 0 ? Infinity : messages;
    for (const session of this.sessions) session.work();
    if (rate > 0) this.#pace();
  }

  /** Open loop: message k is due at k/rate, whether or not a session is free then. */
  #pace() {
    const { rate, messages } = this.plan;
    this.pacer = setInterval(() => {
      const byNow = Math.floor(((performance.now() - this.startedMs) / 1000) * rate);
      this.due = messages === 0 ? byNow : Math.min(byNow, messages);
      while (this.waiting.length > 0 && this.begun < this.due) this.waiting.shift()?.work();
    }, 1);
  }

  stop() {
    this.stopping = true;
    this.due = this.begun;
    clearInterval(this.pacer);
    for (const session of this.waiting.splice(0)) session.stop();
    this.#checkEnd();
  }

  // ---- what the sessions ask and tell ----------------------------------------------------------------------------

  /** @returns {Job | undefined} */
  next() {
    if (this.stopping || this.begun >= this.due) return undefined;
    const { run, index, step, rate } = this.plan;
    const number = this.begun++;
    const startMs = rate > 0 ? this.startedMs + (number / rate) * 1000 : performance.now();
    return { id: messageId(run, index + number * step), startMs, dotMs: 0 };
  }

  /** @param {Session} session */
  idle(session) {
    if (this.stopping || this.#isComplete()) session.stop();
    else this.waiting.push(session);
  }

  /** @param {string} id */
  wire(id) {
    return this.template.wire(id);
  }

  /** @param {Job} job @param {string} line */
  acked(job, line) {
    const nowMs = performance.now();
    this.dotTo250.record(nowMs - job.dotMs);
    this.startTo250.record(nowMs - job.startMs);
    this.counts.acked += 1;
    this.#outcome(job, 'acked', line);
  }

  /** @param {Job} job @param {string} line */
  refused(job, line) {
    this.counts.refused += 1;
    this.#trouble(line);
    this.#outcome(job, 'refused', line);
  }

  /** @param {Job} job @param {boolean} sent @param {string} why @returns {'again' | 'gone'} */
  lost(job, sent, why) {
    // What may have reached the server is never sent again: a copy must be the server's doing, not ours.
    if (!sent && this.plan.reconnect && !this.stopping) return 'again';
    this.counts[sent ? 'noReply' : 'notSent'] += 1;
    this.#outcome(job, sent ? 'no-reply' : 'not-sent', why);
    return 'gone';
  }

  /** @param {string} why @returns {'reconnect' | 'stop'} */
  ended(why) {
    this.counts.connectionsLost += 1;
    this.#trouble(why);
    if (this.stopping || this.#isComplete()) return 'stop';
    if (this.plan.reconnect) return 'reconnect';
    this.failed += 1;
    if (this.failed === this.plan.sessions) this.#end();
    return 'stop';
  }

  /** @param {Job} job @param {string} outcome @param {string} reply */
  #outcome(job, outcome, reply) {
    this.finished += 1;
    this.record?.write({
      id: job.id,
      sha256: this.template.sha256(job.id),
      outcome,
      reply,
      atMs: Date.now(),
    });
    this.#checkEnd();
  }

  /** @param {string} what */
  #trouble(what) {
    // Queue and session ids would make every line its own.
    const kind = what.replaceAll(/[0-9A-Z]{12,}/g, 'ID').slice(0, 120);
    if (kind in this.troubles || Object.keys(this.troubles).length < 20)
      this.troubles[kind] = (this.troubles[kind] ?? 0) + 1;
  }

  #isComplete() {
    return this.plan.messages > 0 && this.begun >= this.plan.messages;
  }

  #checkEnd() {
    const all = this.stopping || this.#isComplete();
    if (all && this.finished >= this.begun) this.#end();
  }

  #end() {
    if (this.reported) return;
    this.reported = true;
    clearInterval(this.pacer);
    clearInterval(reporter);
    this.record?.close();
    const { counts, troubles } = this;
    const seconds = (performance.now() - this.startedMs) / 1000;
    const report = { counts, troubles, seconds, dotTo250: this.dotTo250, startTo250: this.startTo250 };
    const exit = () => process.send?.({ type: 'done', ...report }, () => process.exit(0));
    // Long enough for a QUIT and its answer; a server that is gone must not hold us.
    setTimeout(exit, 50);
  }
}

/** @type {Client | undefined} */
let client;
/** @type {NodeJS.Timeout | undefined} */
let reporter;

process.on('message', (/** @type {{ type: string, plan: Plan }} */ message) => {
  if (message.type === 'plan') {
    client = new Client(message.plan);
    process.send?.({ type: 'ready' });
  } else if (message.type === 'go') {
    reporter = setInterval(() => process.send?.({ type: 'progress', counts: client?.counts }), 500);
    client?.start();
  } else if (message.type === 'stop') client?.stop();
});
// A terminal's Ctrl-C reaches the whole group; the parent decides what it means.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(1));
