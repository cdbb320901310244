/** Everything that can go wrong in a few bytes of a message. */

export const alphabet = ['\r', '\n', '.', 'a', '\0'] as const;

/** Every string of this length over CR, LF, dot, a letter and NUL. */
export function* strings(length: number): Generator<string> {
  const count = alphabet.length ** length;
  for (let number = 0; number < count; number++) {
    let text = '';
    for (let rest = number, place = 0; place < length; place++, rest = Math.floor(rest / alphabet.length))
      text += alphabet[rest % alphabet.length] ?? '';
    yield text;
  }
}
