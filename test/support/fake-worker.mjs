/**
 * A worker without mail, for the tests of the primary: speaks the cluster channel as src/worker/main.ts does, and does
 * what `config.fake` tells it. Each slot may have instructions of its own: `config.fake[slot]` over `config.fake.all`.
 */
import cluster from 'node:cluster';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

const send = (message, done) => process.send(message, undefined, undefined, () => done?.());
const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.write(`${process.pid}\r\n`);
});
const sockets = new Set();
let counts = 0;
let fake = {};
let own = { incarnation: '', slot: 0, dataDir: '', config: {} };

process.on('message', (message) => {
  const act = {
    init,
    adopt: ({ files, blame }) => adopt(files, blame),
    freeze: ({ routes }) => note('freeze', routes.join(' ')),
    drain,
    'over-limit': ({ over }) => note('over-limit', Object.values(over).flat().join(' ')),
    snapshot: ({ id }) => fake.mute || send({ type: 'snapshot', id, metrics: metrics() }),
    'ticket-secret': () => note('ticket-secret'),
    call: ({ id, call }) => {
      if (call.method === 'salvage') salvage(id, call.file);
      else if (!fake.mute) send({ type: 'answer', id, answer: answer(call) });
    },
  }[message.type];
  act(message);
});
if (cluster.isWorker) send({ type: 'online' });

function init({ config, slot, incarnation, adopt: files, blame, frozen }) {
  own = { incarnation, slot, dataDir: config.dataDir, config };
  fake = { ...config.fake?.all, ...config.fake?.[slot] };
  note('init', files.join(' '), { blame, frozen: frozen.join(' ') });
  if (fake.dieBeforeReady) process.exit(3);
  if (fake.unable) {
    send({ type: 'unable', ...fake.unable }, () => process.exit(1));
    return;
  }
  const directory = join(config.dataDir, 'queue', `slot-${slot}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${incarnation}-0.mdb`), '');
  if (fake.neverReady) return;
  const [listener] = config.listeners;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen({ host: listener.address, port: listener.port }, () => {
    send({ type: 'ready', refusing: fake.refusing ?? '' });
    adopt(files, blame);
    if (fake.networks)
      send({ type: 'tallies', report: { standing: { connections: fake.networks }, events: {} } });
  });
  if (!fake.silent) setInterval(heartbeat, 200);
}

function heartbeat() {
  counts += 1;
  send({
    type: 'heartbeat',
    leased: fake.leased ?? 0,
    connections: sockets.size,
    files: [],
    refusing: fake.refusing ?? '',
  });
}

function adopt(files, blame) {
  note('adopt', files.join(' '), { blame });
  for (const file of files) {
    send({ type: 'phase', kind: 'scanning', file });
    if (fake.cannotCommit && file.includes(fake.cannotCommit)) {
      send({ type: 'phase', kind: 'idle', file: '' });
      send({ type: 'phase', kind: 'draining', file }, () => process.exit(70));
      return undefined;
    }
    if (fake.unusable && file.includes(fake.unusable))
      send({ type: 'unusable', file, reason: 'it is not what it was' });
    if (fake.dieScanning && file.includes(fake.dieScanning)) {
      if (fake.hang)
        return setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 20);

      // At the next turn: the phase has to be on its way.
      return setTimeout(() => process.kill(process.pid, fake.dieSignal ?? 'SIGABRT'), 20);
    }
  }
  if (files.length > 0) send({ type: 'phase', kind: 'idle', file: '' });
  return undefined;
}

function drain({ reason, boundMs }) {
  note('drain', `${reason} ${boundMs}`);
  if (fake.ignoreDrain) return;
  server.close();
  for (const socket of sockets) if (reason === 'stop' || fake.cutOnReload) socket.end('421\r\n');
  const ended = setInterval(() => {
    if (sockets.size > 0) return;
    clearInterval(ended);
    send({ type: 'farewell', metrics: metrics() }, () => process.exit(0));
  }, 20);
}

function metrics() {
  return { postern_messages_accepted_total: [{ labels: ['mx'], value: 10 * (own.slot + 1) }] };
}

function salvage(id, file) {
  note('salvage', file);
  if (fake.salvage === 'die') process.exit(1);
  const report = { file: `${file}.salvaged`, salvaged: 1, known: 0, unreadable: 0 };
  const refusal = { ok: false, code: 'SPOOL_FORMAT', message: 'of a newer version' };
  const answer = fake.salvage === 'done' ? { ok: true, value: report } : refusal;
  send({ type: 'answer', id, answer });
}

function answer(call) {
  if (call.method === 'select') return { ok: true, value: { ids: [rowId()], total: 1 } };
  if (call.method === 'rows') return { ok: true, value: { total: 1, messages: [row()] } };
  if (call.method === 'stats') return { ok: true, value: stats() };
  if (call.id === rowId()) return { ok: true, value: null };
  return { ok: false, code: 'NOT_FOUND', message: 'no such message' };
}

const rowId = () => `0000000000000${String(own.slot).padStart(3, '0')}`;

function row() {
  const arrivedAt = new Date(1_700_000_000_000 + own.slot * 1000).toISOString();
  return {
    id: rowId(),
    slot: own.slot,
    state: 'active',
    bytes: 1,
    arrivedAt,
    nextAttemptAt: null,
    attempts: 1,
    from: '',
    recipients: [],
  };
}

function stats() {
  const files = readdirSync(join(own.dataDir, 'queue', `slot-${own.slot}`)).length;
  return {
    messages: { active: 1, deferred: 0, held: 0, parked: 0, failed: 0 },
    bytes: 5,
    oldestSeconds: own.slot,
    files,
  };
}

/** One line in the log of the run, as the primary's are. */
function note(what, text, facts = {}) {
  const line = {
    time: new Date().toISOString(),
    event: `fake.${what}`,
    slot: own.slot,
    pid: process.pid,
    incarnation: own.incarnation,
    text,
    config: own.config.hostname,
    ...facts,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
