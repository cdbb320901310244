/** DATA: dots doubled at line starts, the lone dot at the end (RFC 5321 §4.5.2). */
import type { Framing } from './content.js';
import { DotStuffer } from './dot-stuffer.js';

export class DataFraming implements Framing {
  readonly head = Buffer.alloc(0);
  readonly #stuffer = new DotStuffer();

  frame(chunk: Buffer): Buffer {
    return this.#stuffer.stuff(chunk);
  }

  tail(): Buffer {
    return this.#stuffer.end();
  }
}
