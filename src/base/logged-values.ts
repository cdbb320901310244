/** Values of others, cut for a log line: it stays below 4 KiB, the size up to which a pipe keeps it in one piece. */

const maxRecipients = 5;
/** Of what a client, a certificate or a backend says. */
export const maxLoggedCharacters = 256;
/** Of all addresses together, as JSON: five of ASCII fit. Beyond ASCII, or escaped, a character takes up to six. */
const maxRecipientsBytes = 1_400;

/** The first few, each cut. */
export function loggedAddresses(addresses: readonly string[]): string[] {
  const named: string[] = [];
  let bytes = 0;
  for (const address of addresses.slice(0, maxRecipients)) {
    const name = address.slice(0, maxLoggedCharacters);
    bytes += jsonBytes(name);
    // The first is named in any case: cut to 256 characters it takes 1.5 KiB at most.
    if (named.length > 0 && bytes > maxRecipientsBytes) break;
    named.push(name);
  }
  return named;
}

export function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}
