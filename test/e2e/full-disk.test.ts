/**
 * F-06: the disk of the data directory runs full. MAIL is refused before the reserve is touched, nothing that was
 * acknowledged is lost, the relay drains, and mail is accepted again by itself. The disk is a small tmpfs in a mount
 * namespace of its own, so this needs root and util-linux.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { testMessage } from '../support/oracle-load.js';
import { freePort } from '../support/ports.js';
import { startPostern, type ConfigOverrides, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { RecordingSink } from '../support/recording-sink.js';
import { SmtpClient, sha256 } from '../support/smtp-client.js';

const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;
let postern: RunningPostern | undefined;
let sink: RecordingSink | undefined;
let disk: string | undefined;
/** Keeps the disk while no Postern runs. */
let holder: ChildProcess | undefined;

afterEach(async () => {
  await postern?.dispose();
  await sink?.close();
  holder?.kill();
  if (disk !== undefined) rmSync(disk, { recursive: true, force: true });
  postern = undefined;
  sink = undefined;
  disk = undefined;
  holder = undefined;
});

/** A data directory on a tmpfs of its own that only Postern sees. */
async function startOnDisk(sizeMiB: number, reserve: string, hopPort: number): Promise<RunningPostern> {
  disk = mkdtempSync(join(tmpdir(), 'postern-disk-'));
  const mount = `${mountOf(sizeMiB)} && shift && exec "$@"`;
  return startPostern({
    wrapper: ['unshare', '-m', 'sh', '-c', mount, 'sh', disk],
    config: configOn(disk, reserve, hopPort),
  });
}

/** Shell: a disk of this size where the first argument says. */
function mountOf(sizeMiB: number): string {
  return `mount -t tmpfs -o size=${sizeMiB}m tmpfs "$1"`;
}

function configOn(dataDir: string, reserve: string, hopPort: number): ConfigOverrides {
  return {
    dataDir,
    workers: 1,
    limits: { diskReserve: reserve },
    routes: {
      disk: { to: `smtp://127.0.0.1:${hopPort}`, tls: 'off', retry: { first: '1s', max: '1s' } },
    },
  };
}

/** What an operator does: more room on the file system. */
function enlarge(running: RunningPostern, sizeMiB: number): void {
  const remount = ['mount', '-o', `remount,size=${sizeMiB}m`, running.dataDir];
  const { status, stderr } = spawnSync('nsenter', ['-t', String(running.pid), '-m', ...remount], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`remount: ${stderr}`);
}

/** Messages of 1 MiB until three were refused in a row. */
async function fill(
  port: number,
  pauseMs: number,
): Promise<{ acked: Map<string, string>; refusals: string[] }> {
  const acked = new Map<string, string>();
  const refusals: string[] = [];
  for (let n = 0; n < 200 && refusals.length < 3; n++) {
    const reply = await attempt(port, n, acked);
    if (!reply.startsWith('250')) refusals.push(reply);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return { acked, refusals };
}

async function expectDelivered(acked: ReadonlyMap<string, string>, at: RecordingSink): Promise<void> {
  const all = (): boolean => [...acked.keys()].every((id) => at.byId().has(id));
  await until('all that was acknowledged is at the sink', all, 90_000);
  for (const [id, digest] of acked) expect(at.byId().get(id)?.[0]?.sha256, id).toBe(digest);
  expect([...at.byId().keys()].toSorted()).toEqual([...acked.keys()].toSorted());
}

async function expectAccepting(port: number): Promise<void> {
  const accepted = async (): Promise<boolean> => (await attempt(port, 1000, new Map())).startsWith('250');
  await until('mail is accepted again', accepted, 60_000);
}

describe.skipIf(!canMount)(`a small disk${canMount ? '' : ' (no right to mount: run as root)'}`, () => {
  test('F-06: MAIL gets 452 4.3.1 before the reserve is touched; the relay drains, and mail flows again by itself', async () => {
    const hopPort = await freePort();
    postern = await startOnDisk(64, '16MiB', hopPort);
    // The monitor looks once a second: a message of 1 MiB each 150 ms must not outrun it by more than the reserve.
    const { acked, refusals } = await fill(postern.smtpPort, 150);
    expect(acked.size).toBeGreaterThan(20);
    for (const refusal of refusals) expect(refusal).toMatch(/^452 4\.3\.1/);
    expect(postern.log.some((line) => line.event === 'disk.short')).toBe(true);
    sink = await RecordingSink.openOn(hopPort);
    await expectDelivered(acked, sink);
    await expectAccepting(postern.smtpPort);
  }, 200_000);

  test('F-06: with no limits.diskReserve at all new mail is refused and no worker ends; nothing acknowledged is lost, and mail flows again when there is room', async () => {
    const hopPort = await freePort();
    postern = await startOnDisk(64, '0', hopPort);
    const { acked, refusals } = await fill(postern.smtpPort, 0);
    expect(acked.size).toBeGreaterThan(20);
    for (const refusal of refusals) expect(refusal).toMatch(/^452 4\.3\.1/);
    enlarge(postern, 256);
    sink = await RecordingSink.openOn(hopPort);
    await expectDelivered(acked, sink);
    await expectAccepting(postern.smtpPort);
    expect(postern.log.filter((line) => line.event === 'queue.failed')).toEqual([]);
  }, 200_000);

  test('F-06 F-02: a start on a disk that is full to the last byte delivers what is queued, and takes mail when there is room', async () => {
    const hopPort = await freePort();
    disk = mkdtempSync(join(tmpdir(), 'postern-disk-'));
    holder = spawn('unshare', ['-m', 'sh', '-c', `${mountOf(64)} && exec sleep 300`, 'sh', disk]);
    const inside = ['nsenter', '-t', String(holder.pid), '-m'];
    const mounts = `/proc/${holder.pid}/mounts`;
    await until('the disk is mounted', () => readFileSync(mounts, 'utf8').includes(String(disk)));
    const filler = join(disk, 'filler');
    postern = await startPostern({ wrapper: inside, config: configOn(disk, '0', hopPort) });
    const acked = new Map<string, string>();
    for (let n = 0; n < 8; n++) expect(await attempt(postern.smtpPort, n, acked)).toMatch(/^250/);
    spawnSync('nsenter', [...inside.slice(1), 'dd', 'if=/dev/zero', `of=${filler}`, 'bs=64k']);
    postern.kill('SIGKILL');
    await postern.exited;
    postern = await startPostern({ again: postern, wrapper: inside, waitUntilReady: false });
    sink = await RecordingSink.openOn(hopPort);
    await expectDelivered(acked, sink);
    spawnSync('nsenter', [...inside.slice(1), 'rm', filler]);
    await expectAccepting(postern.smtpPort);
  }, 200_000);
});

/** One message of 1 MiB on a connection of its own; what the server said last. */
async function attempt(port: number, n: number, acked: Map<string, string>): Promise<string> {
  const id = `disk-${n}`;
  const message = testMessage(id, 2 ** 20);
  const client = await SmtpClient.greeted(port).catch(() => undefined);
  if (client === undefined) return '4xx no connection';
  const reply = await client.send(message).catch((error: unknown) => `4xx ${String(error)}`);
  client.destroy();
  if (reply.startsWith('250')) acked.set(id, sha256(Buffer.from(`${message}\r\n`, 'latin1')));
  return reply;
}
