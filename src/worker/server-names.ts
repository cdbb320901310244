/** Which of several things a host name stands for: the exact name first, then `*.` over one label (RFC 6125 §6.4.3). */
export class ServerNames<T> {
  readonly #exact = new Map<string, T>();
  /** By what follows the `*.`. */
  readonly #wildcards = new Map<string, T>();

  /** @param names lower case */
  add(names: readonly string[], value: T): void {
    for (const name of names)
      if (name.startsWith('*.')) this.#wildcards.set(name.slice(2), value);
      else this.#exact.set(name, value);
  }

  /** @param asked as the client wrote it */
  find(asked: string): T | undefined {
    const name = asked.toLowerCase();
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#wildcards.size === 0) return exact;
    const dot = name.indexOf('.');
    return dot > 0 ? this.#wildcards.get(name.slice(dot + 1)) : undefined;
  }
}
