/**
 * Has crash images opened by the built queue in a child process (children/open-image.mjs), one after another. An image
 * that brings the child down is a finding like any other; the next one gets a new child.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const child = resolve(import.meta.dirname, 'children/open-image.mjs');
// Opening and reading an image takes some 50 ms.
const boundMs = 30_000;

export interface ImageReport {
  /** By X-Test-Id; '' where it cannot be read. */
  readonly messages: readonly { readonly id: string; readonly sha256: string; readonly error?: string }[];
  /** What the queue itself reports as damaged, or what became of it. */
  readonly damaged: readonly string[];
}

export class ImageChecker {
  #child: ChildProcess | undefined;
  #answer: ((report: ImageReport) => void) | undefined;
  #stderr = '';

  /** @param andUse also stores and delivers in it: pages that are wrongly thought to be free then show it */
  async check(directory: string, andUse: boolean): Promise<ImageReport> {
    const running = (this.#child ??= this.#start());
    const answered = new Promise<ImageReport>((resolve) => (this.#answer = resolve));
    const timer = setTimeout(() => running.kill('SIGKILL'), boundMs);
    running.stdin?.write(`${directory}\t${andUse ? 'use' : ''}\n`);
    try {
      return await answered;
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    const running = this.#child;
    if (running === undefined) return;
    const closed = new Promise((resolve) => running.once('close', resolve));
    running.stdin?.end();
    await closed;
  }

  #start(): ChildProcess {
    const started = spawn(process.execPath, [child], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#stderr = '';
    started.stderr.on(
      'data',
      (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-2000)),
    );
    started.stdin.on('error', () => undefined); // it may end while it is written to; the close tells
    createInterface({ input: started.stdout }).on('line', (line) =>
      this.#give(JSON.parse(line) as ImageReport),
    );
    started.once('close', (code, signal) => {
      this.#child = undefined;
      this.#give({
        messages: [],
        damaged: [`its reader ended with ${signal ?? String(code)}: ${this.#stderr}`],
      });
    });
    return started;
  }

  #give(report: ImageReport): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(report);
  }
}
