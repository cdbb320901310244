/** fsync of a directory, shared: all renames that were done when one begins are covered by it, as in a group commit. */
import { open } from 'node:fs/promises';

export class DirectorySync {
  readonly #path: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when a sync that began after this call is done. @throws the file system's error */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    // The running one may have begun before the caller's rename.
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = fsync(this.#path).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}

async function fsync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
