import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Maildir } from '../../src/relay/maildir.js';
import type { Lease } from '../../src/queue/spool.js';
import { MemorySpool } from './memory-spool.js';

let directory = '';
let path = '';
let spool = new MemorySpool();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-maildir-'));
  path = join(directory, 'mail');
  spool = new MemorySpool();
});
afterEach(() => rm(directory, { recursive: true }));

const received = 'Received: from client.example by mx.example.org id X;\r\n\tnow\r\n';
const to = ['you@localhost'];

async function leaseOf(body: Buffer | string, from = 'me@example.org'): Promise<Lease> {
  const id = spool.add(body, { reversePath: from, arrivedAtMs: 1_700_000_000_123 });
  const leases = await spool.lease('out', Date.now(), 100);
  const lease = leases.find((each) => each.message.id === id);
  if (lease === undefined) throw new Error('no lease');
  return lease;
}

async function files(part: string): Promise<string[]> {
  return existsSync(join(path, part)) ? readdir(join(path, part)) : [];
}

describe('a Maildir', () => {
  it('gets Return-Path, Received and the message, with LF ends, in new/', async () => {
    const lease = await leaseOf(`${received}Subject: hi\r\n\r\n.dot\r\nend\r\n`);
    const outcome = await new Maildir(path, 'mx.example.org').carry(lease, to);
    const [name = '', ...others] = await files('new');
    expect(others).toEqual([]);
    expect(name).toBe(`1700000000.M123000Q${lease.message.id}.mx.example.org`);
    expect(await readFile(join(path, 'new', name), 'latin1')).toBe(
      `Return-Path: <me@example.org>\n${received.replaceAll('\r\n', '\n')}Subject: hi\n\n.dot\nend\n`,
    );
    expect(outcome.results).toEqual([{ address: to[0], state: 'delivered', lastReply: `stored as ${name}` }]);
    expect(await files('tmp')).toEqual([]);
  });

  it('makes tmp, new and cur for the owner alone, and files too', async () => {
    await new Maildir(path, 'mx').carry(await leaseOf('x\r\n'), to);
    for (const part of ['tmp', 'new', 'cur']) expect((await stat(join(path, part))).mode & 0o777).toBe(0o700);
    const [name = ''] = await files('new');
    expect((await stat(join(path, 'new', name))).mode & 0o777).toBe(0o600);
  });

  it('the null reverse-path is <>', async () => {
    await new Maildir(path, 'mx').carry(await leaseOf('x\r\n', ''), to);
    const [name = ''] = await files('new');
    expect(await readFile(join(path, 'new', name), 'latin1')).toBe('Return-Path: <>\nx\n');
  });

  it('a large message keeps every byte but the CR of CRLF, also across chunks', async () => {
    const line = `${'\u00e4\r\u00ff.'.repeat(7)}\r\n`;
    const body = line.repeat(20_000);
    spool.chunkBytes = 1021;
    await new Maildir(path, 'mx').carry(await leaseOf(Buffer.from(body, 'latin1')), to);
    const [name = ''] = await files('new');
    const stored = await readFile(join(path, 'new', name), 'latin1');
    expect(stored === `Return-Path: <me@example.org>\n${body.replaceAll('\r\n', '\n')}`).toBe(true);
  });

  it('host names with a slash or a colon make no directory and no flags', async () => {
    await new Maildir(path, 'a/b:c').carry(await leaseOf('x\r\n'), to);
    expect((await files('new'))[0]).toMatch(/^\d+\.M\d+Q[0-9A-Z]{16}\.a\\057b\\072c$/);
  });

  it('F-02: the attempt after a crash replaces what the crash left in tmp and in new', async () => {
    const lease = await leaseOf('x\r\n');
    const maildir = new Maildir(path, 'mx');
    await maildir.carry(lease, to);
    const [name = ''] = await files('new');
    await writeFile(join(path, 'tmp', name), 'half of i');
    await new Maildir(path, 'mx').carry(lease, to);
    expect(await files('tmp')).toEqual([]);
    expect(await files('new')).toEqual([name]);
    expect(await readFile(join(path, 'new', name), 'latin1')).toContain('x\n');
  });

  it('sweeps files of others from tmp after 36 hours, not before', async () => {
    await mkdir(join(path, 'tmp'), { recursive: true });
    for (const [name, hours] of [
      ['old', 37],
      ['young', 35],
    ] as const) {
      await writeFile(join(path, 'tmp', name), 'x');
      const at = Date.now() / 1000 - hours * 3600;
      await utimes(join(path, 'tmp', name), at, at);
    }
    await new Maildir(path, 'mx').carry(await leaseOf('x\r\n'), to);
    expect(await files('tmp')).toEqual(['young']);
  });

  it('a damaged message is failed and leaves nothing behind', async () => {
    const lease = await leaseOf('x\r\n');
    spool.corrupt.add(lease.message.id);
    const outcome = await new Maildir(path, 'mx').carry(lease, to);
    expect(outcome).toMatchObject({ corrupt: true, results: [{ state: 'failed' }] });
    expect([...(await files('tmp')), ...(await files('new'))]).toEqual([]);
  });

  it('a path that cannot be used leaves the message pending, and works once it can', async () => {
    await writeFile(path, 'in the way');
    const maildir = new Maildir(path, 'mx');
    const lease = await leaseOf('x\r\n');
    const outcome = await maildir.carry(lease, to);
    expect(outcome.results[0]).toMatchObject({ state: 'pending' });
    expect(outcome.results[0]?.lastReply).toContain(`cannot create ${path}`);
    await rm(path);
    expect((await maildir.carry(lease, to)).results[0]?.state).toBe('delivered');
  });

  it('a Maildir removed while we run is made again', async () => {
    const maildir = new Maildir(path, 'mx');
    const lease = await leaseOf('x\r\n');
    await maildir.carry(lease, to);
    await rm(path, { recursive: true });
    expect((await maildir.carry(lease, to)).results[0]?.state).toBe('pending');
    expect((await maildir.carry(lease, to)).results[0]?.state).toBe('delivered');
  });

  it('a cut ends a delivery between two chunks and leaves nothing behind', async () => {
    spool.chunkBytes = 10;
    const maildir = new Maildir(path, 'mx');
    const carrying = maildir.carry(await leaseOf('x'.repeat(1000)), to);
    maildir.cut('cut: stopped');
    expect((await carrying).results[0]).toMatchObject({ state: 'pending', lastReply: 'cut: stopped' });
    expect([...(await files('tmp')), ...(await files('new'))]).toEqual([]);
  });

  it('many at once are all there', async () => {
    const maildir = new Maildir(path, 'mx');
    const leases = await Promise.all(Array.from({ length: 30 }, () => leaseOf('x\r\n')));
    const outcomes = await Promise.all(leases.map((lease) => maildir.carry(lease, to)));
    expect(new Set(outcomes.map((outcome) => outcome.results[0]?.state))).toEqual(new Set(['delivered']));
    expect(await files('new')).toHaveLength(30);
  });
});
