/** Numbers of things in sentences for people. Pure. */

/** `1 message`, `1 234 messages`. The plural takes an s. */
export function count(amount: number, noun: string): string {
  return `${grouped(amount)} ${noun}${amount === 1 ? '' : 's'}`;
}

/** `1 234 567` */
export function grouped(amount: number): string {
  return String(amount).replace(/\B(?=(\d{3})+$)/g, ' ');
}
