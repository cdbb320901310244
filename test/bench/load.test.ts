/** The measuring tools themselves: an oracle that loses, changes or doubles messages would prove nothing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SMTPServer } from 'smtp-server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { compareRecords, runLoad, startLoad, startSink } from '../support/load.js';
import { root, testCertificate } from '../support/postern.js';
import { run } from '../support/program.js';

let directory = '';
let sent = '';
let received = '';
const servers: { close: () => void }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  sent = join(directory, 'sent.jsonl');
  received = join(directory, 'received.jsonl');
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(directory, { recursive: true, force: true });
});

const clean = { lost: [], changed: [], doubled: [], unasked: [] };

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push({ close: () => server.close() });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (server.address() as AddressInfo).port;
}

describe('load generator and sink', () => {
  it.each([
    ['pipelined, kept connections', ['--sessions', '7']],
    ['a connection per message, not pipelined', ['--per-connection', '1', '--pipelining', 'off']],
    ['dots at every line', ['--dot-heavy', '--size', '70000']],
    ['larger than one read', ['--size', '300000', '--sessions', '3']],
    ['several recipients', ['--to', 'a@example.test', '--to', 'b@example.test', '--per-connection', '3']],
    ['open loop', ['--rate', '400']],
  ])('every message arrives once and unchanged: %s', async (_name, args) => {
    const sink = await startSink(['--record', received]);
    const result = await runLoad(sink.port, ['--messages', '101', '--record', sent, ...args]);
    await sink.stop();
    expect(result.counts).toEqual({ acked: 101, refused: 0, noReply: 0, notSent: 0, connectionsLost: 0 });
    expect(await compareRecords(sent, received)).toEqual({ acked: 101, received: 101, ...clean });
  });

  it.each(['starttls', 'implicit'])('speaks TLS (%s) to a server that is not ours', async (tls) => {
    let messages = 0;
    const server = new SMTPServer({
      cert: readFileSync(testCertificate.certificate),
      key: readFileSync(testCertificate.key),
      secure: tls === 'implicit',
      authOptional: true,
      onMailFrom: (_address, session, done) => done(session.secure ? null : new Error('plain')),
      onData(stream, _session, done) {
        stream.resume();
        stream.on('end', () => {
          messages += 1;
          done();
        });
      },
    });
    server.on('error', () => undefined);
    const port = await listen(server.server);
    const result = await runLoad(port, ['--messages', '20', '--sessions', '2', '--tls', tls]);
    expect(result.counts).toMatchObject({ acked: 20, refused: 0 });
    expect(messages).toBe(20);
  });

  it('tells refused, unanswered and never sent messages apart, and goes on', async () => {
    // The first connection dies at MAIL, the second after the end of data; the third refuses one message and takes the rest.
    let connections = 0;
    const server = createServer((socket) => misbehave(socket, ++connections));
    const port = await listen(server);
    const args = [
      '--messages',
      '4',
      '--sessions',
      '1',
      '--pipelining',
      'off',
      '--reconnect',
      '--record',
      sent,
    ];
    const result = await runLoad(port, args);
    expect(result.counts).toMatchObject({ acked: 2, refused: 1, noReply: 1, notSent: 0, connectionsLost: 2 });
    const outcomes = readFileSync(sent, 'utf8').trim().split('\n').map((line) => String(JSON.parse(line).outcome)); // prettier-ignore
    expect(outcomes).toEqual(['no-reply', 'refused', 'acked', 'acked']);
  });

  it('without --reconnect a dead server is a failure, exit 1', async () => {
    const server = createServer((socket) => socket.destroy());
    const port = await listen(server);
    const load = startLoad(port, ['--messages', '5', '--sessions', '2']);
    expect(await load.program.exited).toMatchObject({ code: 1 });
    expect(load.result().counts.acked).toBe(0);
  });

  it('ends with a result when it is told to stop', async () => {
    const sink = await startSink();
    const load = startLoad(sink.port, ['--messages', '1000000', '--rate', '100', '--record', sent]);
    await expect.poll(() => sizeOf(sent), { timeout: 20_000 }).toBeGreaterThan(0);
    await load.program.stop();
    await sink.stop();
    expect(load.result().counts.acked).toBeGreaterThan(0);
  });

  it('refuses wrong options with exit 2', async () => {
    const { code, stderr } = await run(process.execPath, [
      join(root, 'bench/load/load.mjs'),
      '--size',
      'big',
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('--size: expected a whole number');
  });
});

describe('comparison', () => {
  it('finds what was lost, changed, doubled or came unasked', async () => {
    writeFileSync(
      sent,
      [
        row('lost', '1', 'acked'),
        row('changed', '2', 'acked'),
        row('doubled', '3', 'acked'),
        row('refused', '4', 'refused'),
        row('unanswered', '5', 'no-reply'),
        row('good', '6', 'acked'),
      ].join('\n'),
    );
    const came = [['changed', 'x'], ['doubled', '3'], ['doubled', '3'], ['refused', '4'], ['unanswered', '5'], ['good', '6'], ['stranger', '7']] as const; // prettier-ignore
    writeFileSync(received, came.map(([id, sha256]) => row(id, sha256)).join('\n'));
    expect(await compareRecords(sent, received)).toEqual({
      acked: 4,
      received: 6,
      lost: ['lost'],
      changed: ['changed'],
      doubled: ['doubled'],
      unasked: ['refused', 'stranger'],
    });
  });
});

function row(id: string, sha256: string, outcome?: string): string {
  return JSON.stringify({ id, sha256, outcome });
}

function sizeOf(file: string): number {
  try {
    return readFileSync(file).length;
  } catch {
    return 0;
  }
}

/** An SMTP server with one line per reply that breaks off where `connection` says. */
function misbehave(socket: Socket, connection: number): void {
  let inData = false;
  let messages = 0;
  socket.on('error', () => undefined);
  socket.write('220 x\r\n');
  socket.on('data', (chunk) => {
    const text = chunk.toString('latin1');
    if (inData) {
      if (!text.endsWith('\r\n.\r\n')) return;
      inData = false;
      messages += 1;
      if (connection === 2) socket.destroy();
      else socket.write(messages === 1 ? '451 4.3.0 not now\r\n' : '250 2.0.0 Ok: queued as X\r\n');
    } else if (text.startsWith('MAIL') && connection === 1) socket.destroy();
    else if (text.startsWith('DATA')) {
      inData = true;
      socket.write('354 go\r\n');
    } else socket.write('250 ok\r\n');
  });
}
