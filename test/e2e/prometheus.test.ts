/**
 * Debian's Prometheus with our own rules scrapes a Postern under load that does everything a dashboard shows: each
 * panel's and each rule's expression must return data from it. An expression over a metric that is not there would not.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';

import { addUser } from '../../src/pool/users-file.js';
import { alerts, panelExpressions, prometheusDirectory, readYaml, ruleExpressions, ruleFiles, rules, withVariables } from '../deploy/files.js'; // prettier-ignore
import { measuredParts, type Expression } from '../deploy/promql.js';
import { peerPath, skipReason, startRbldnsd, type Rbldnsd } from '../support/peers.js';
import { freePort } from '../support/ports.js';
import { startPostern, testCertificate, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { Program } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

const zone = 'bl.example.test';
const listedClient = '127.0.0.9';
// Grafana takes four scrape intervals; the scrapes are a second apart here.
const rateInterval = '10s';
const patienceMs = 60_000;
const missing = skipReason('prometheus', 'rbldnsd');

let directory: string;
let rbldnsd: Rbldnsd;
let postern: RunningPostern;
let posternWithBackend: RunningPostern;
let prometheus: Program;
let prometheusUrl: string;
const load = new AbortController();
let loading: Promise<void>[] = [];

async function startLoadedPostern(): Promise<void> {
  const users = join(directory, 'users.yaml');
  await addUser(users, 'alice', 'tiger');
  rbldnsd = await startRbldnsd(zone, [`${listedClient} :127.0.0.2:spam`]);
  const nobodyListens = await freePort();
  postern = await startPostern({
    config: {
      tls: testCertificate,
      auth: { users: { file: users } },
      listeners: [
        { name: 'mx', role: 'inbound', tls: 'starttls' },
        { name: 'submission', role: 'submission', tls: 'required', route: 'disk' },
      ],
      domains: [
        { names: ['example.test'], recipients: 'any', route: 'disk' },
        { names: ['away.test'], recipients: 'any', route: 'away' },
      ],
      routes: { disk: { to: 'maildir:./maildir' }, away: { to: `smtp://127.0.0.1:${nobodyListens}` } },
      dns: { servers: [`127.0.0.1:${rbldnsd.port}`] },
      policy: { dnsbl: { lists: [{ zone, replies: ['127.0.0.[2..11]'] }] } },
      // So few that one greedy client is refused however its connections fall on the workers.
      limits: {
        exempt: [],
        connectionsPerHost: 2,
        // The load goes on for minutes, failed logins with it.
        connectionsPerHostPerMinute: 0,
        connectionsPerNetworkPerMinute: 0,
        authFailuresPerHostPerMinute: 0,
        authFailuresPerNetworkPerMinute: 0,
        authFailuresPerAccountPerMinute: 0,
      },
    },
  });
}

/** Its logins are checked by a server that is not there. */
async function startPosternWithBackend(): Promise<void> {
  posternWithBackend = await startPostern({
    config: {
      workers: 1,
      tls: testCertificate,
      auth: { backend: { http: { url: `http://127.0.0.1:${await freePort()}/login` } }, cache: '0' },
      listeners: [{ name: 'submission', role: 'submission', tls: 'required', route: 'disk' }],
    },
  });
}

async function startPrometheus(): Promise<void> {
  const port = await freePort();
  const file = join(directory, 'prometheus.yml');
  const shipped = z
    .object({ scrape_configs: z.array(z.looseObject({ job_name: z.string() })) })
    .parse(readYaml(join(prometheusDirectory, 'prometheus.yml')));
  const scrapes = shipped.scrape_configs.map((scrape) => ({
    ...scrape,
    scrape_timeout: '1s',
    static_configs: [
      { targets: [postern, posternWithBackend].map(({ adminPort }) => `127.0.0.1:${adminPort}`) },
    ],
  }));
  const global = { scrape_interval: '1s', evaluation_interval: '1s' };
  writeFileSync(file, stringify({ global, rule_files: ruleFiles, scrape_configs: scrapes }));
  prometheus = new Program(peerPath('prometheus'), [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(directory, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=warn',
  ]);
  prometheusUrl = `http://127.0.0.1:${port}`;
  await until('Prometheus is ready', async () => {
    const response = await fetch(`${prometheusUrl}/-/ready`).catch(() => undefined);
    return response?.ok;
  });
}

let clients = 0;

/** Each a client that no DNSBL cache knows yet. */
function newAddress(): string {
  clients += 1;
  return `127.0.${2 + Math.floor(clients / 250)}.${1 + (clients % 250)}`;
}

/** Repeats `act` until the load ends. A connection that is refused or cut is part of the load. */
async function repeat(act: () => Promise<void>, everyMs: number): Promise<void> {
  while (!load.signal.aborted) {
    await act().catch(() => undefined);
    await sleep(everyMs);
  }
}

async function inboundMail(): Promise<void> {
  const client = await SmtpClient.greeted(postern.smtpPort, { localAddress: '127.0.1.1' });
  for (const to of ['you@example.test', 'stranger@elsewhere.test', 'you@away.test', 'you@example.test'])
    await client.send('Subject: load\r\n\r\nhello', { to });
  await client.command('QUIT');
}

async function submittedMail(password: string, to = postern): Promise<void> {
  const client = await SmtpClient.greeted(to.ports['submission'] ?? 0, { localAddress: '127.0.1.2' });
  await client.startTls();
  await client.command('EHLO client.test');
  await client.command(`AUTH PLAIN ${Buffer.from(`\0alice\0${password}`).toString('base64')}`);
  await client.send('Subject: load\r\n\r\nhello', { from: 'alice@example.test' });
  client.destroy();
}

async function listedMail(): Promise<void> {
  const client = await SmtpClient.greeted(postern.smtpPort, { localAddress: listedClient });
  await client.send('Subject: spam\r\n\r\nhello');
  client.destroy();
}

/** Resets its connection in the middle of a transaction. */
async function rudeClient(): Promise<void> {
  const client = await SmtpClient.greeted(postern.smtpPort, { localAddress: newAddress() });
  await client.command('MAIL FROM:<a@client.test>');
  await client.command('RCPT TO:<you@example.test>');
  client.raw.resetAndDestroy();
}

async function greedyClient(): Promise<void> {
  const connecting = Array.from({ length: 6 }, () => SmtpClient.connect(postern.smtpPort, { localAddress: '127.0.1.3' }));
  const clients = await Promise.all(connecting);
  await Promise.all(clients.map((client) => client.reply().catch(() => undefined)));
  for (const client of clients) client.destroy();
} // prettier-ignore

function instanceOf({ adminPort }: RunningPostern): string {
  return `instance="127.0.0.1:${adminPort}"`;
}

const answerShape = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.literal('vector'),
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
  }),
}); // prettier-ignore

/** The instant vector's values; an expression that Prometheus does not take throws. */
async function query(expr: string): Promise<number[]> {
  const response = await fetch(`${prometheusUrl}/api/v1/query?query=${encodeURIComponent(expr)}`);
  return answerShape.parse(await response.json()).data.result.map(({ value }) => Number(value[1]));
}

async function anyValue(expr: string): Promise<boolean> {
  return (await query(expr)).length > 0;
}

/** A series of NaN (a quantile of nothing) is no data. */
async function hasData(expr: string): Promise<boolean> {
  return (await query(expr)).some((value) => Number.isFinite(value));
}

async function withoutData(expressions: readonly Expression[]): Promise<string[]> {
  const silent: string[] = [];
  for (const { where, expr } of expressions) if (!(await hasData(expr))) silent.push(`${where}: ${expr}`);
  return silent;
}

/** What still has no data when all have had time to get some. */
async function silentAfterAWhile(expressions: readonly Expression[]): Promise<string[]> {
  const endMs = Date.now() + patienceMs;
  let silent: string[];
  do {
    silent = await withoutData(expressions);
    if (silent.length > 0) await sleep(500);
  } while (silent.length > 0 && Date.now() < endMs);
  return silent;
}

describe.skipIf(missing)(`a real Prometheus${missing === undefined ? '' : ` (${missing})`}`, () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'postern-prometheus-'));
    await Promise.all([startLoadedPostern(), startPosternWithBackend()]);
    await startPrometheus();
    loading = [
      repeat(inboundMail, 50),
      repeat(() => submittedMail('tiger'), 200),
      repeat(() => submittedMail('wrong'), 500),
      repeat(() => submittedMail('tiger', posternWithBackend), 500),
      repeat(listedMail, 200),
      repeat(rudeClient, 300),
      repeat(greedyClient, 500),
    ];
  }, 60_000);

  afterAll(async () => {
    load.abort();
    await Promise.all(loading);
    await prometheus.stop();
    await posternWithBackend.dispose();
    await postern.dispose();
    await rbldnsd.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  it("every panel's expression returns data", { timeout: 120_000 }, async () => {
    const asked = panelExpressions.map(({ where, expr }) => ({ where, expr: withVariables(expr, rateInterval) }));
    expect(await silentAfterAWhile(asked)).toEqual([]);
  }); // prettier-ignore

  it("every recording rule and every alert's measured parts return data", { timeout: 120_000 }, async () => {
    const recorded = rules.flatMap((rule) =>
      'record' in rule ? [{ where: rule.record, expr: rule.record }] : [],
    );
    const parts = ruleExpressions.flatMap(({ where, expr }) => {
      const isAlert = alerts.some(({ alert }) => alert === where);
      return (isAlert ? measuredParts(expr) : [expr]).map((part) => ({ where, expr: part }));
    });
    expect(parts.length).toBeGreaterThanOrEqual(rules.length);
    expect(await silentAfterAWhile([...recorded, ...parts])).toEqual([]);
  });

  it('a metric that does not exist has no data: the two tests above can fail', async () => {
    expect(await withoutData([{ where: 'typing error', expr: 'rate(postern_conections_total[10s])' }])).toHaveLength(1);
    await until('the same without it has', () => hasData('rate(postern_connections_total[10s])'));
  }); // prettier-ignore

  it('loads and evaluates all our rules without a fault, and pages nobody for an ordinary load', async () => {
    const shape = z.object({
      data: z.object({
        groups: z.array(z.object({
          rules: z.array(z.object({ name: z.string(), health: z.string(), lastError: z.string().optional() })),
        })),
      }),
    }); // prettier-ignore
    const response = await fetch(`${prometheusUrl}/api/v1/rules`);
    const loaded = shape.parse(await response.json()).data.groups.flatMap((group) => group.rules);
    expect(loaded.map(({ name }) => name).sort()).toEqual(ruleExpressions.map(({ where }) => where).sort());
    expect(loaded.filter(({ health }) => health !== 'ok')).toEqual([]);
    expect(await query(`ALERTS{alertstate="firing",severity="page",${instanceOf(postern)}}`)).toEqual([]);
  });

  it('a worker that is killed is replaced and no total falls', { timeout: 120_000 }, async () => {
    const accepted = 'sum(postern_messages_accepted_total)';
    const [victim] = postern.workerPids();
    if (victim === undefined) throw new Error('no worker');
    process.kill(victim, 'SIGKILL');
    await until('Prometheus has seen the restart', () => anyValue('postern_worker_restarts_total > 0'));
    const [before = 0] = await query(accepted);
    await until('both workers take mail again', () => anyValue(`${accepted} > ${before + 50} and sum(postern_workers_ready{${instanceOf(postern)}}) == 2`));
    expect(await query('max(resets(postern_messages_accepted_total[10m]))')).toEqual([0]);
    expect(await query('max(resets(postern_stage_seconds_count[10m]))')).toEqual([0]);
  }); // prettier-ignore
});
