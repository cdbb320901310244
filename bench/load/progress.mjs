/** One line on stderr while a run lasts: rewritten in place on a terminal, every five seconds elsewhere. */

const everyMs = { terminal: 500, other: 5000 };

export class Progress {
  #total;
  #quiet;
  #startedMs = performance.now();
  #shownMs = performance.now();
  #shownAcked = 0;
  #width = 0;

  /** @param {number} total messages; 0: not known @param {boolean} quiet */
  constructor(total, quiet) {
    this.#total = total;
    this.#quiet = quiet;
  }

  /** @param {{ acked: number, refused: number, noReply: number, notSent: number }[]} counts of each process */
  show(counts) {
    const nowMs = performance.now();
    const { isTTY } = process.stderr;
    if (this.#quiet || nowMs - this.#shownMs < (isTTY ? everyMs.terminal : everyMs.other)) return;
    const sum = (/** @type {'acked' | 'refused' | 'noReply' | 'notSent'} */ key) =>
      counts.reduce((total, each) => total + each[key], 0);
    const acked = sum('acked');
    const rate = ((acked - this.#shownAcked) / (nowMs - this.#shownMs)) * 1000;
    const seconds = ((nowMs - this.#startedMs) / 1000).toFixed(0);
    const of = this.#total > 0 ? ` of ${this.#total}` : '';
    const bad = sum('refused') + sum('noReply') + sum('notSent');
    this.#write(
      `${seconds} s: ${acked}${of} acknowledged, ${rate.toFixed(0)}/s${bad > 0 ? `, ${bad} not` : ''}`,
    );
    this.#shownMs = nowMs;
    this.#shownAcked = acked;
  }

  end() {
    if (this.#width > 0) process.stderr.write(`\r${' '.repeat(this.#width)}\r`);
    this.#width = 0;
  }

  /** @param {string} line */
  #write(line) {
    if (!process.stderr.isTTY) {
      process.stderr.write(`${line}\n`);
      return;
    }
    process.stderr.write(`\r${line.padEnd(this.#width)}`);
    this.#width = line.length;
  }
}
