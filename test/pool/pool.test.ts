import { fileURLToPath } from 'node:url';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { dummyHash, hashPassword } from '../../src/pool/password-hash.js';
import { openPool } from '../../src/pool/pool.js';
import type { DnsblTask, Pool, PoolOptions } from '../../src/pool/tasks.js';
import { startFakeDns } from '../support/fake-dns.js';

const faulty = fileURLToPath(new URL('./threads/faulty.mjs', import.meta.url));
const cheap = { log2N: 4, r: 1, p: 1 };

let pool: Pool | undefined;

afterEach(async () => {
  await pool?.close();
  pool = undefined;
});

function open(options: Partial<PoolOptions> = {}, entry?: string): Pool {
  pool = openPool(
    { threads: 1, maxQueue: 10, taskTimeoutMs: 20_000, observe: () => undefined, ...options },
    entry,
  );
  return pool;
}

function task(behaviour: string, timeoutMs = 0): DnsblTask {
  return { address: '192.0.2.1', zones: [behaviour], servers: [], timeoutMs };
}

describe('the pool with the real tasks', () => {
  it('tells a right password from a wrong one', async () => {
    const hash = await hashPassword('open sesame', cheap);
    const real = open();
    expect(await real.run('password', { password: 'open sesame', hash })).toBe(true);
    expect(await real.run('password', { password: 'open barley', hash })).toBe(false);
    expect(await real.run('password', { password: '', hash: dummyHash(cheap) })).toBe(false);
  });

  it('reports a hash that cannot be read as a failed task', async () => {
    await expect(open().run('password', { password: 'x', hash: 'x' })).rejects.toMatchObject({
      code: 'POOL_TASK',
      message: 'a password task failed: not a scrypt hash',
    });
  });

  it('asks DNSBLs, many at once in one thread', async () => {
    const dns = await startFakeDns(() => ({ addresses: ['127.0.0.2'], delayMs: 100 }));
    const question = { zones: ['a.test'], servers: [dns.server], timeoutMs: 10_000 };
    const real = open();
    const asked = Array.from({ length: 100 }, (_, i) =>
      real.run('dnsbl', { ...question, address: `192.0.2.${i}` }),
    );
    // All were sent before the first answer: 100 in turn would be seen one by one.
    await vi.waitFor(() => expect(dns.names.length).toBe(100), 10_000);
    const answers = await Promise.all(asked);
    await dns.close();
    expect(new Set(answers.flat().map((answer) => answer.kind))).toEqual(new Set(['answer']));
  });

  it('does not let a line of passwords delay a DNSBL question', async () => {
    const dns = await startFakeDns(() => 'nxdomain');
    const real = open({ maxQueue: 20 });
    const hash = dummyHash({ log2N: 14, r: 8, p: 1 });
    let hashed = 0;
    const passwords = Array.from({ length: 20 }, () =>
      real.run('password', { password: 'x', hash }).then(() => hashed++),
    );
    await real.run('dnsbl', {
      address: '192.0.2.1',
      zones: ['a.test'],
      servers: [dns.server],
      timeoutMs: 20_000,
    });
    expect(hashed).toBeLessThan(20);
    await Promise.all(passwords);
    await dns.close();
  });

  it('observes waiting and running of each task', async () => {
    const observed: string[] = [];
    const real = open({
      observe: (name, phase, seconds) => observed.push(`${name} ${phase} ${seconds >= 0}`),
    });
    await real.run('password', { password: 'x', hash: dummyHash(cheap) });
    expect(observed).toEqual(['password wait true', 'password run true']);
  });
});

describe('the pool with tasks that misbehave', () => {
  it('refuses at once when the line is full, and only then (F-21)', async () => {
    const busy = open({ maxQueue: 3 }, faulty);
    // One password runs per thread, three wait.
    const accepted = Array.from({ length: 4 }, () => busy.run('password', { password: 'echo', hash: '' }));
    expect(busy.queued).toBe(3);
    await expect(busy.run('password', { password: 'echo', hash: '' })).rejects.toMatchObject({
      code: 'POOL_FULL',
    });
    await expect(busy.run('dnsbl', task('echo'))).resolves.toBeDefined();
    await Promise.all(accepted);
    expect(busy.queued).toBe(0);
    await expect(busy.run('password', { password: 'echo', hash: '' })).resolves.toBeDefined();
  });

  it('answers every one of 10 000 tasks, done or refused (F-21)', async () => {
    const busy = open({ maxQueue: 100 }, faulty);
    const results = await Promise.allSettled(
      Array.from({ length: 10_000 }, () => busy.run('dnsbl', task('echo'))),
    );
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBe(10_000 - 128 - 100);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'POOL_FULL' });
  });

  it('turns the end of a task into its error code', async () => {
    const wrong = open({}, faulty);
    await expect(wrong.run('dnsbl', task('deadline'))).rejects.toMatchObject({ code: 'POOL_TIMEOUT' });
    await expect(wrong.run('dnsbl', task('fail'))).rejects.toMatchObject({
      code: 'POOL_TASK',
      message: 'a dnsbl task failed: on purpose',
    });
    await expect(wrong.run('dnsbl', task('throw'))).rejects.toMatchObject({ code: 'POOL_TASK' });
    await expect(wrong.run('dnsbl', task('echo'))).resolves.toEqual(task('echo'));
  });

  it('replaces a thread that spins, and goes on (F-19)', async () => {
    const stuck = open({ taskTimeoutMs: 500 }, faulty);
    await expect(stuck.run('dnsbl', task('spin'))).rejects.toMatchObject({ code: 'POOL_TIMEOUT' });
    await vi.waitFor(() => expect(stuck.run('dnsbl', task('echo'))).resolves.toEqual(task('echo')), 10_000);
  });

  it('leaves the other thread alone when one spins (F-19)', async () => {
    const stuck = open({ threads: 2, taskTimeoutMs: 1_500 }, faulty);
    const spinning = stuck.run('dnsbl', task('spin'));
    const beside = stuck.run('dnsbl', task('slow', 500));
    await expect(beside).resolves.toEqual([]);
    await expect(spinning).rejects.toMatchObject({ code: 'POOL_TIMEOUT' });
  });

  it('fails the tasks of a thread that dies, and replaces it (F-20)', async () => {
    const dying = open({}, faulty);
    const bystander = dying.run('dnsbl', task('slow', 10_000));
    await expect(dying.run('dnsbl', task('exit'))).rejects.toMatchObject({ code: 'POOL_TASK' });
    await expect(bystander).rejects.toMatchObject({ code: 'POOL_TASK' });
    await expect(dying.run('dnsbl', task('echo'))).resolves.toEqual(task('echo'));
  });

  it('survives a thread that runs out of memory (F-20)', async () => {
    const greedy = open({}, faulty);
    await expect(greedy.run('dnsbl', task('swallow'))).rejects.toMatchObject({
      code: 'POOL_TASK',
      cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' },
    });
    await expect(greedy.run('dnsbl', task('echo'))).resolves.toEqual(task('echo'));
  });

  it('says so when a thread dies between tasks, and replaces it (F-20)', async () => {
    const lost: string[] = [];
    const dying = open({ threadLost: (message) => lost.push(message) }, faulty);
    await dying.run('dnsbl', task('later'));
    await vi.waitFor(() => expect(lost).toEqual(['thrown after the task']), 10_000);
    await expect(dying.run('dnsbl', task('echo'))).resolves.toEqual(task('echo'));
  });

  it('counts waiting and running apart, and lets who waited too long leave the line', async () => {
    const busy = open({ maxQueue: 200, taskTimeoutMs: 2_200 }, faulty);
    const batch = (): Promise<unknown>[] =>
      Array.from({ length: 128 }, () => busy.run('dnsbl', task('slow', 1_500)));
    const running = batch();
    // 1.5 s in line and 1.5 s of work are more than 2.2 s in all, and no fault of the thread.
    const next = batch();
    // 3 s in line are too much.
    const last = expect(busy.run('dnsbl', task('echo'))).rejects.toMatchObject({
      code: 'POOL_TIMEOUT',
      message: 'no thread was free in time for a dnsbl task',
    });
    expect(await Promise.all([...running, ...next])).toHaveLength(256);
    await last;
    expect(busy.queued).toBe(0);
  });

  it('refuses tasks once it is closed, and ends what runs', async () => {
    const closing = open({}, faulty);
    const running = expect(closing.run('dnsbl', task('slow', 60_000))).rejects.toMatchObject({
      code: 'POOL_TASK',
    });
    await closing.close();
    await running;
    await expect(closing.run('dnsbl', task('echo'))).rejects.toMatchObject({ code: 'POOL_TASK' });
  });
});
