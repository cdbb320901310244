/** Takes messages of growing size and prints the peak of the memory that is the process's own (RssAnon) for each. */
import { readFileSync } from 'node:fs';
import { envelope, open, print } from './spool.mjs';

const mib = 2 ** 20;
const { spool } = await open(process.argv[2], 'large');

function anonymousBytes() {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024;
}

async function take(bytes) {
  let peak = 0;
  const slice = Buffer.alloc(65_536, 'x');
  const writer = spool.begin(Date.now());
  for (let sent = 0; sent < bytes; sent += slice.length) {
    writer.write(slice);
    if (sent % mib === 0) peak = Math.max(peak, anonymousBytes());
    if (writer.congested) await new Promise((resolve) => (writer.onWritable = resolve));
    // As between two reads of a socket.
    else if (sent % mib === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await writer.commit(envelope());
  return peak;
}

async function give() {
  let peak = 0;
  const [lease] = await spool.lease('office', Date.now(), 1);
  for await (const chunk of lease.body()) if (chunk[0] === 120) peak = Math.max(peak, anonymousBytes());
  await spool.settle(lease, [{ address: 'rcpt@example.test', state: 'delivered', lastReply: '' }], 0);
  return peak;
}

for (let i = 0; i < 5; i++) {
  await take(20 * mib);
  await give();
}
const result = {
  in20: await take(20 * mib),
  out20: await give(),
  in200: await take(200 * mib),
  out200: await give(),
};
await spool.close();
print(JSON.stringify(result));
