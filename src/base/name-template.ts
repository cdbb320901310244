/** A text with places for a user's name: `uid={user},ou=people`. Pure; what must be escaped in it, the caller knows. */

export interface NameTemplate {
  /** Undefined: the user's name has not the parts that this needs. @param escape for the place it stands in */
  fill(user: string, escape: (text: string) => string): string | undefined;
}

const slot = /\{(user|local|domain)\}/g;

/** `{user}`: the whole name; `{local}` and `{domain}`: before and after its last @. Undefined: it has no place for one. */
export function parseNameTemplate(text: string): NameTemplate | undefined {
  const slots = Array.from(text.matchAll(slot), (match) => match[1] ?? '');
  if (!slots.includes('user') && !slots.includes('local')) return undefined;
  if (/[{}\0]/.test(text.replaceAll(slot, ''))) return undefined;
  return {
    fill: (user, escape) => {
      const at = user.lastIndexOf('@');
      const parts = new Map([
        ['user', user],
        ['local', at < 0 ? user : user.slice(0, at)],
        ['domain', user.slice(at + 1, at < 0 ? 0 : undefined)],
      ]);
      if (slots.some((name) => parts.get(name) === '')) return undefined;
      return text.replaceAll(slot, (_, name: string) => escape(parts.get(name) ?? ''));
    },
  };
}

/** What of it is not the user's. */
export function literalPart(text: string): string {
  return text.replaceAll(slot, '');
}
