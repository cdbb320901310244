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
// When the read chunks are collected is V8's choice. What grows with the message grows each time: the least of three.
const result = { in20: Infinity, out20: Infinity, in200: Infinity, out200: Infinity };
for (let i = 0; i < 3; i++)
  for (const size of [20, 200]) {
    result[`in${size}`] = Math.min(result[`in${size}`], await take(size * mib));
    result[`out${size}`] = Math.min(result[`out${size}`], await give());
  }
await spool.close();
print(JSON.stringify(result));
