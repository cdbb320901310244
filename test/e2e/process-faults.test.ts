/** What befalls whole processes, and queue files while nobody runs: F-03, F-05, F-13, F-15, F-31, F-37, F-38, F-39. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';

import {
  startPostern,
  testCertificate,
  type PosternOptions,
  type RunningPostern,
} from '../support/postern.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

const support = resolve(import.meta.dirname, '../support');
const started: RunningPostern[] = [];
const clients: SmtpClient[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const postern of started.splice(0).toReversed()) await postern.dispose();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

async function start(options: PosternOptions = {}): Promise<RunningPostern> {
  const postern = await startPostern(options);
  started.push(postern);
  return postern;
}

async function greeted(postern: RunningPostern): Promise<SmtpClient> {
  const client = await SmtpClient.greeted(postern.smtpPort);
  client.raw.on('error', () => undefined);
  clients.push(client);
  return client;
}

function message(text: string): string {
  return `Subject: ${text}\r\n\r\nbody of ${text}`;
}

/** Resolves when it has its 250. */
async function send(postern: RunningPostern, text: string): Promise<void> {
  const client = await greeted(postern);
  expect(await client.send(message(text))).toMatch(/^250 2\.0\.0 Ok: queued as/);
  client.destroy();
}

/** Subjects in the Maildir, sorted. */
function delivered(postern: RunningPostern): string[] {
  const folder = join(postern.dataDir, 'maildir/new');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => /^Subject: (.*?)\r?$/m.exec(readFileSync(join(folder, name), 'latin1'))?.[1] ?? '')
    .toSorted();
}

async function event(postern: RunningPostern, name: string): Promise<Record<string, unknown>> {
  return until(name, () => postern.log.find((line) => line.event === name));
}

async function freeze(postern: RunningPostern, how: 'freeze' | 'thaw'): Promise<void> {
  const answer = await postern.api(`/api/v1/routes/disk/${how}`, { method: 'POST' });
  expect(answer.status).toBe(200);
}

const subjects = Array.from({ length: 40 }, (_, n) => `waiting ${String(n).padStart(2, '0')}`);

/** One queue file with mail that waits, and nobody who has it open. */
async function queueFile(): Promise<{ first: RunningPostern; file: string }> {
  const first = await start({ config: { workers: 1 } });
  await freeze(first, 'freeze');
  const client = await greeted(first);
  for (const subject of subjects) expect(await client.send(message(subject))).toMatch(/^250/);
  await first.stop();
  const slot = join(first.dataDir, 'queue/slot-0');
  const [name = ''] = readdirSync(slot).filter((file) => file.endsWith('.mdb'));
  return { first, file: join(slot, name) };
}

function damage(file: string, edit: (bytes: Buffer) => void): void {
  const bytes = readFileSync(file);
  edit(bytes);
  writeFileSync(file, bytes);
}

/** Where the records' tree begins, by the newest meta page. */
function rootPage(bytes: Buffer): number {
  const [a, b] = [bytes.readBigUInt64LE(24 + 128), bytes.readBigUInt64LE(4096 + 24 + 128)];
  return Number(bytes.readBigUInt64LE((b > a ? 4096 : 0) + 24 + 112));
}

describe('F-05 F-13 a queue file that was damaged while nobody ran', () => {
  test.each([
    {
      what: 'its first page is gone: refused before LMDB sees it',
      deaths: 0,
      edit: (bytes: Buffer) => bytes.fill(0xff, 0, 4096),
    },
    {
      // LMDB reports it or falls over it, as it comes.
      what: 'the root of its tree is gone: three workers at most fall over it',
      deaths: 3,
      edit: (bytes: Buffer) => bytes.fill(0xff, rootPage(bytes) * 4096, (rootPage(bytes) + 1) * 4096),
    },
  ])('$what; mail flows, and every message in it is salvaged and delivered', async ({ edit, deaths }) => {
    const { first, file } = await queueFile();
    damage(file, edit);
    const postern = await start({ again: first });
    const quarantined = await event(postern, 'queue.quarantined');
    await until('mail flows', async () => (await fetch(`${postern.adminUrl}/readyz`)).ok);
    await send(postern, 'new mail');
    expect(quarantined['file']).toBe(file);
    expect(postern.log.filter((line) => line.event === 'worker.died').length).toBeLessThanOrEqual(deaths);
    const report = await event(postern, 'queue.salvaged');
    expect(report).toMatchObject({ salvaged: subjects.length, unreadable: 0 });
    expect(existsSync(String(report['file']))).toBe(true);
    await freeze(postern, 'thaw');
    await until('all is delivered', () => delivered(postern).length > subjects.length);
    expect(delivered(postern)).toEqual(['new mail', ...subjects]);
    expect(await postern.metric('postern_queue_quarantined_files')).toBe(0);
    expect(await postern.metric('postern_queue_salvaged_total', { result: 'stored' })).toBe(subjects.length);
    expect((await postern.api('/readyz')).status).toBe(200);
  });

  test('some of its pages are gone: the other messages are delivered, and what is lost is in the report', async () => {
    const { first, file } = await queueFile();
    damage(file, (bytes) => {
      // Every fourth leaf, in the tree or not, so that no older copy of it helps.
      const leaves = Array.from({ length: bytes.length / 4096 }, (_, n) => n).filter(
        (n) => n > 1 && bytes.readUInt16LE(n * 4096 + 18) === 2,
      );
      for (const [index, page] of leaves.entries())
        if (index % 4 === 0) bytes.fill(0xff, page * 4096, (page + 1) * 4096);
      bytes.fill(0xff, 4096, 8192);
    });
    const postern = await start({ again: first });
    const { salvaged, unreadable, damaged_places: places } = await event(postern, 'queue.salvaged');
    expect(Number(salvaged)).toBeGreaterThan(10);
    expect(Number(unreadable) + Number(places)).toBeGreaterThan(0);
    await send(postern, 'new mail');
    await freeze(postern, 'thaw');
    await until('what is whole is delivered', () => delivered(postern).length > Number(salvaged));
    expect(['new mail', ...subjects]).toEqual(expect.arrayContaining(delivered(postern)));
  });

  test('F-39 one of a newer format is left as it is, and mail flows', async () => {
    const { first, file } = await queueFile();
    damage(file, (bytes) => {
      const was = Buffer.from('postern-spool 1');
      for (let at = bytes.indexOf(was); at >= 0; at = bytes.indexOf(was, at + 1))
        bytes.write('9', at + was.length - 1);
    });
    const before = readFileSync(file);
    const postern = await start({ again: first });
    expect((await event(postern, 'queue.damaged'))['reason']).toMatch(/format 9; this Postern reads up to 1/);
    await send(postern, 'new mail');
    await postern.stop();
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(postern.log.filter((line) => line.event === 'queue.quarantined')).toEqual([]);
  });
});

describe('F-15 a worker that stands', () => {
  test('is ended; its mail is delivered by its successor, and clients find the other worker meanwhile', async () => {
    const postern = await start({
      nodeArguments: [join(support, 'short-silence-driver.mjs')],
      env: { SILENCE_BOUND_MS: '4000' },
    });
    await freeze(postern, 'freeze');
    for (let n = 0; n < 8; n++) await send(postern, `frozen ${n}`);
    const [victim = 0] = postern.workerPids();
    process.kill(victim, 'SIGSTOP');
    await send(postern, 'meanwhile');
    await until('it is found silent', () =>
      postern.log.find((line) => line.event === 'worker.silent' && line['worker_pid'] === victim),
    );
    await until(
      'it is replaced',
      () => postern.workerPids().length === 2 && !postern.workerPids().includes(victim),
    );
    await freeze(postern, 'thaw');
    await until('all is delivered', () => delivered(postern).length >= 9);
    expect(delivered(postern)).toEqual([...Array.from({ length: 8 }, (_, n) => `frozen ${n}`), 'meanwhile']);
  });
});

describe('F-31 few file descriptors', () => {
  test('beyond what leaves the worker its own, a client gets 421 and is counted; the queue goes on', async () => {
    const postern = await start({
      config: { workers: 1 },
      wrapper: ['sh', '-c', 'ulimit -n 256 && exec "$0" "$@"'],
    });
    const inside = await greeted(postern);
    const greetings: string[] = [];
    for (let n = 0; n < 150; n++) {
      const client = await SmtpClient.connect(postern.smtpPort);
      client.raw.on('error', () => undefined);
      clients.push(client);
      greetings.push(await client.reply());
    }
    expect(greetings.filter((greeting) => greeting.startsWith('220 '))).toHaveLength(127); // half of 256, with `inside`
    expect(greetings.filter((greeting) => greeting.startsWith('421 '))).toHaveLength(23);
    const refused = await postern.metric('postern_connections_refused_total', { reason: 'worker-limit' });
    expect(refused).toBe(23);
    expect(await inside.send(message('stored'))).toMatch(/^250/);
    await until('it is delivered', () => delivered(postern).length === 1);
    for (const client of clients.splice(1)) client.destroy();
    await until('a new client is let in', async () => {
      const client = await SmtpClient.connect(postern.smtpPort);
      clients.push(client);
      return (await client.reply()).startsWith('220 ');
    });
    expect((await event(postern, 'service.few_open_files'))['connections']).toBe(128);
  });
});

describe('F-37 a bug in a worker', () => {
  test.each([
    { how: 'an exception', signal: 'SIGUSR2' as const, text: 'thrown by the test' },
    { how: 'a rejected promise', signal: 'SIGPWR' as const, text: 'rejected by the test' },
  ])(
    '$how is logged, clients hear 421, the worker is replaced, nothing acknowledged is lost',
    async ({ signal, text }) => {
      const postern = await start({
        config: { workers: 1 },
        env: { NODE_OPTIONS: `--import=${join(support, 'crash-on-signal.mjs')}` },
      });
      await freeze(postern, 'freeze');
      await send(postern, 'before');
      const idle = await greeted(postern);
      const [pid = 0] = postern.workerPids();
      process.kill(pid, signal);
      expect(await idle.reply()).toMatch(/^421 4\.3\./);
      expect((await event(postern, 'worker.crash'))['err']).toBe(text);
      expect(await event(postern, 'worker.died')).toMatchObject({ exit_code: 1, worker_pid: pid });
      await until('it is replaced', async () => {
        const [next] = postern.workerPids();
        return next !== undefined && next !== pid && (await fetch(`${postern.adminUrl}/readyz`)).ok;
      });
      await freeze(postern, 'thaw');
      await send(postern, 'after');
      await until('both are delivered', () => delivered(postern).length === 2);
      expect(delivered(postern)).toEqual(['after', 'before']);
    },
  );
});

test('F-03 workers of a primary that was killed say so, and why they end, to the log and to idle clients', async () => {
  const postern = await start({ config: { workers: 1 } });
  const idle = await greeted(postern);
  const [pid] = postern.workerPids();
  postern.kill('SIGKILL');
  expect(await idle.reply()).toMatch(/^421 4\.3\.2 /);
  expect(await event(postern, 'worker.orphaned')).toMatchObject({ level: 'error', connections: 1, pid });
});

describe('F-38 a certificate that is half written at a reload', () => {
  test('the reload is given up, and clients get the old one as before; with the whole one it works', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-tls-'));
    folders.push(folder);
    const certificate = join(folder, 'mx.crt');
    copyFileSync(testCertificate.certificate, certificate);
    const postern = await start({
      config: {
        workers: 1,
        tls: { certificate, key: testCertificate.key },
        listeners: [{ name: 'mx', role: 'inbound', tls: 'implicit' }],
      },
    });
    const before = await serialNumber(postern.smtpPort);
    const pids = postern.workerPids();
    const whole = readFileSync(certificate, 'latin1');
    writeFileSync(certificate, whole.slice(0, Math.floor(whole.length / 2)));
    const refused = await postern.api('/api/v1/reload', { method: 'POST' });
    expect([refused.status, await refused.text()]).toEqual([409, expect.stringContaining('tls.certificate')]);
    expect(await serialNumber(postern.smtpPort)).toBe(before);
    expect(postern.workerPids()).toEqual(pids);
    writeFileSync(certificate, whole);
    expect((await postern.api('/api/v1/reload', { method: 'POST' })).status).toBe(200);
    expect(await serialNumber(postern.smtpPort)).toBe(before);
  });
});

/** The serial number of the certificate that a client is shown. */
function serialNumber(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
