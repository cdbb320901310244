/** Starting, stopping, reloading and refusing to start: what an operator does, with the answers an operator needs. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../support/ports.js';
import { startPostern, testCertificate, withStartTls, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

const started: RunningPostern[] = [];
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ family }) => family === 'IPv6'),
);

async function start(options: Parameters<typeof startPostern>[0] = {}): Promise<RunningPostern> {
  const postern = await startPostern(options);
  started.push(postern);
  return postern;
}

afterEach(async () => {
  // The last first: a second run lives in the directory of the first.
  for (const postern of started.splice(0).toReversed()) await postern.dispose();
});

function everything(postern: RunningPostern): string {
  return [postern.output(), ...postern.log.map((line) => JSON.stringify(line))].join('\n');
}

describe('stop', () => {
  test('F-33 C-027: idle clients get 421 4.3.2, an open transaction gets its answer, exit code 0', async () => {
    const postern = await start();
    const idle = await SmtpClient.greeted(postern.smtpPort);
    const busy = await SmtpClient.greeted(postern.smtpPort);
    await busy.command('MAIL FROM:<a@client.test>');
    await busy.command('RCPT TO:<b@example.test>');
    expect(await busy.command('DATA')).toMatch(/^354/);
    busy.write('Subject: half\r\n\r\n');
    postern.kill('SIGTERM');
    expect(await idle.reply()).toMatch(/^421 4\.3\.2/);
    await idle.ended();
    busy.write('the other half\r\n.\r\n');
    expect(await busy.reply()).toMatch(/^250 2\.0\.0 Ok: queued as/);
    expect(await busy.reply()).toMatch(/^421 4\.3\.2/);
    expect(await postern.exited).toEqual({ code: 0, signal: null });
  });

  test('SIGINT drains too', async () => {
    const postern = await start();
    postern.kill('SIGINT');
    expect(await postern.exited).toEqual({ code: 0, signal: null });
  });

  test('`postern stop` ends the service', async () => {
    const postern = await start();
    expect(await postern.cli('stop')).toMatchObject({ code: 0 });
    expect(await postern.exited).toEqual({ code: 0, signal: null });
  });
});

describe('start', () => {
  test.skipIf(!hasIpv6)(
    `an IPv4 and an IPv6 listener share a port, as in the example that is installed${hasIpv6 ? '' : ' (no IPv6 here)'}`,
    async () => {
      const port = await freePort();
      const postern = await start({
        config: {
          workers: 2,
          listeners: [
            { name: 'mx6', address: '::', port },
            { name: 'mx', address: '0.0.0.0', port },
          ],
        },
      });
      for (const [host, listener] of [
        ['127.0.0.1', 'mx'],
        ['::1', 'mx6'],
      ] as const) {
        const client = await SmtpClient.greeted(port, { host });
        await client.command('QUIT');
        expect(await postern.metric('postern_connections_total', { listener })).toBe(1);
      }
    },
  );
});

describe('reload', () => {
  test('F-35: cuts no transaction, refuses no connection, and the new config holds', async () => {
    const postern = await start();
    const before = postern.workerPids();
    const open = await SmtpClient.greeted(postern.smtpPort);
    await open.command('MAIL FROM:<a@client.test>');
    const config = JSON.parse(readFileSync(postern.configFile, 'utf8')) as { hostname: string };
    writeFileSync(postern.configFile, JSON.stringify({ ...config, hostname: 'renamed.example.test' }));

    let connecting = true;
    let refused = 0;
    let connected = 0;
    const knocking = (async () => {
      while (connecting) {
        const client = await SmtpClient.connect(postern.smtpPort).catch(() => undefined);
        if (client === undefined) refused += 1;
        else {
          const greeting = await client.reply().catch(() => '');
          if (greeting.startsWith('220')) connected += 1;
          else refused += 1;
          client.destroy();
        }
      }
    })();
    const answer = await postern.cli('reload');
    expect(answer).toMatchObject({ code: 0 });
    connecting = false;
    await knocking;
    expect(refused).toBe(0);
    expect(connected).toBeGreaterThan(0);

    expect(await open.command('RCPT TO:<b@example.test>')).toMatch(/^250/);
    expect(await open.command('DATA')).toMatch(/^354/);
    expect(await open.command('Subject: kept\r\n\r\nthrough a reload\r\n.')).toMatch(/^250 2\.0\.0 Ok/);
    const fresh = await SmtpClient.connect(postern.smtpPort);
    expect(await fresh.reply()).toMatch(/^220 renamed\.example\.test/);
    fresh.destroy();
    open.destroy();
    await until('the old workers are gone', () => postern.workerPids().every((pid) => !before.includes(pid)));
  });

  test('SIGHUP with what only a restart can change is refused by name, and nothing changes', async () => {
    const postern = await start();
    const before = postern.workerPids();
    const config = JSON.parse(readFileSync(postern.configFile, 'utf8')) as object;
    writeFileSync(
      postern.configFile,
      JSON.stringify({ ...config, dataDir: join(postern.directory, 'elsewhere') }),
    );
    const answer = await postern.cli('reload');
    expect(answer.code).toBe(1);
    expect(answer.stdout + answer.stderr).toContain('dataDir');
    expect(postern.workerPids()).toEqual(before);
  });

  test('a wrong config file is refused with its faults, and the old one goes on', async () => {
    const postern = await start();
    writeFileSync(postern.configFile, 'hostname: [1]\nnonsense: true\n');
    postern.kill('SIGHUP');
    await until('the faults are logged', () => everything(postern).includes('nonsense'));
    const client = await SmtpClient.greeted(postern.smtpPort);
    expect(await client.send('Subject: x\r\n\r\nstill served')).toMatch(/^250/);
    client.destroy();
  });
});

test('/readyz says 503 and why while every MAIL gets 452; so does `postern status`', async () => {
  const postern = await start({ config: { limits: { diskReserve: '1TiB' } }, waitUntilReady: false });
  const refusal = await until('the workers have said so', async () => {
    const answer = await fetch(`${postern.adminUrl}/readyz`).catch(() => undefined);
    const text = (await answer?.text()) ?? '';
    return answer?.status === 503 && text.includes('diskReserve') ? text : undefined;
  });
  expect(refusal).toContain('MAIL gets 452');
  const ready = await until('the log says so too', () =>
    postern.log.find(({ event }) => event === 'service.ready'),
  );
  expect(ready.msg).toMatch(/^the listeners are open, and new mail is refused: MAIL gets 452: .*diskReserve/);
  const client = await SmtpClient.greeted(postern.smtpPort);
  expect(await client.command('MAIL FROM:<a@client.test>')).toMatch(/^452 4\.3\.1/);
  client.destroy();
  expect((await postern.cli('status')).stdout).toContain('diskReserve');
});

describe('a start that must fail says what to do', () => {
  test('port in use: LISTEN_FAILED, exit 1', async () => {
    const squatter = createServer();
    await new Promise((resolve) => squatter.listen(0, '127.0.0.1', () => resolve(undefined)));
    const address = squatter.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const postern = await start({
      config: { listeners: [{ name: 'mx', role: 'inbound', tls: 'off', port }] },
      waitUntilReady: false,
    });
    expect((await postern.exited).code).toBe(1);
    squatter.close();
    expect(everything(postern)).toMatch(new RegExp(`127\\.0\\.0\\.1:${port}.*another program has the port`));
  });

  test('F-14: a second instance on the same data directory is refused, exit 1', async () => {
    const first = await start();
    const second = await start({ config: { dataDir: first.dataDir }, waitUntilReady: false });
    expect((await second.exited).code).toBe(1);
    expect(everything(second)).toContain('another instance');
    const client = await SmtpClient.greeted(first.smtpPort);
    expect(await client.send('Subject: x\r\n\r\nfirst lives')).toMatch(/^250/);
    client.destroy();
  });

  test('a data directory that is a file: exit 1, and the message names it', async () => {
    const postern = await start({ waitUntilReady: false, config: { dataDir: '/proc/self/comm/data' } });
    expect((await postern.exited).code).not.toBe(0);
    expect(everything(postern)).toContain('/proc/self/comm/data');
  });

  test('a missing certificate: exit 2, file and line named', async () => {
    const postern = await start({
      waitUntilReady: false,
      config: { ...withStartTls, tls: { ...testCertificate, certificate: '/nowhere/mx.pem' } },
    });
    expect((await postern.exited).code).toBe(2);
    expect(everything(postern)).toContain('/nowhere/mx.pem');
  });

  test('F-39: a queue file that is none is reported, left as it is, and mail is accepted', async () => {
    const first = await start();
    await first.stop();
    const slot = join(first.dataDir, 'queue', 'slot-0');
    mkdirSync(slot, { recursive: true });
    const foreign = join(slot, 'FOREIGN-0.mdb');
    writeFileSync(foreign, 'this is not a queue');
    chmodSync(foreign, 0o600);
    const second = await start({ again: first });
    await until('it is reported', () => second.log.some((line) => line.event === 'queue.damaged'));
    expect(readFileSync(foreign, 'utf8')).toBe('this is not a queue');
    const client = await SmtpClient.greeted(second.smtpPort);
    expect(await client.send('Subject: x\r\n\r\naccepted')).toMatch(/^250/);
    client.destroy();
  });
});
