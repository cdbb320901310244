/** The load generator's command line. */
import { parseArgs } from 'node:util';

/**
 * @typedef {object} LoadOptions
 * @property {string} run
 * @property {string} host
 * @property {number} port
 * @property {number} processes
 * @property {number} sessions
 * @property {number} messages 0: until the duration ends
 * @property {number} perConnection
 * @property {number} sizeBytes
 * @property {boolean} pipelining
 * @property {'off' | 'starttls' | 'implicit'} tls
 * @property {boolean} dotHeavy
 * @property {number} rate messages per second, open loop; 0: closed loop
 * @property {number} durationMs 0: no bound
 * @property {string} from
 * @property {string[]} to
 * @property {string | undefined} record
 * @property {boolean} reconnect
 * @property {number | undefined} serverPid
 * @property {string | undefined} json
 * @property {boolean} quiet
 */

export const usage = `
usage: node bench/load/load.mjs [options]
  --server HOST:PORT      where to send (127.0.0.1:2525)
  --sessions N            connections at a time, over all processes (20)
  --messages N            messages in all (10000, or no bound with --duration)
  --duration SECONDS      no new message after this time
  --per-connection N      messages per connection, then QUIT and a new one (no bound)
  --size BYTES            of a message, header included (4096)
  --pipelining on|off     MAIL, RCPT and DATA in one write (on)
  --tls off|on|implicit   on: STARTTLS; any certificate is taken (off)
  --dot-heavy             a body of lines that all need dot-stuffing
  --rate N                open loop: N messages per second, latency counted from the intended start
  --from ADDRESS          (load@example.test)
  --to ADDRESS            may be given several times (sink@example.test)
  --processes N           client processes (one per core, at most 2)
  --server-pid PID        measure CPU and memory of this process and its children
  --record FILE           append one JSON line per message: id, sha256, outcome, reply, time
  --reconnect             survive the server's death: connect again, send again what cannot have arrived
  --json FILE             write the result
  --quiet                 no progress and no table
`;

/**
 * @param {string[]} argv
 * @param {{ run: string, cores: number }} defaults
 * @returns {{ ok: true, options: LoadOptions } | { ok: false, exitCode: 0 | 2, message: string }}
 */
export function parseLoadOptions(argv, { run, cores }) {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        server: { type: 'string', default: '127.0.0.1:2525' },
        sessions: { type: 'string', default: '20' },
        messages: { type: 'string' },
        duration: { type: 'string' },
        'per-connection': { type: 'string', default: '0' },
        size: { type: 'string', default: '4096' },
        pipelining: { type: 'string', default: 'on' },
        tls: { type: 'string', default: 'off' },
        'dot-heavy': { type: 'boolean', default: false },
        rate: { type: 'string', default: '0' },
        from: { type: 'string', default: 'load@example.test' },
        to: { type: 'string', multiple: true, default: ['sink@example.test'] },
        processes: { type: 'string' },
        'server-pid': { type: 'string' },
        record: { type: 'string' },
        reconnect: { type: 'boolean', default: false },
        json: { type: 'string' },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { ok: false, exitCode: 0, message: 'SMTP load generator' };
    const sessions = whole('sessions', values.sessions, 1);
    const perConnection = whole('per-connection', values['per-connection'], 0);
    const processes = whole('processes', values.processes ?? String(Math.min(cores, 2)), 1);
    const duration = Number(values.duration ?? 0);
    if (!(duration >= 0)) throw new TypeError('--duration: expected seconds');
    const { host, port } = serverOf(values.server);
    return {
      ok: true,
      options: {
        run,
        host,
        port,
        processes: Math.min(processes, sessions),
        sessions,
        messages: whole('messages', values.messages ?? (duration > 0 ? '0' : '10000'), duration > 0 ? 0 : 1),
        perConnection: perConnection === 0 ? Infinity : perConnection,
        sizeBytes: whole('size', values.size, 1),
        pipelining: oneOf('pipelining', values.pipelining, ['on', 'off']) === 'on',
        tls: tlsOf(values.tls),
        dotHeavy: values['dot-heavy'],
        rate: whole('rate', values.rate, 0),
        durationMs: duration * 1000,
        from: values.from,
        to: values.to,
        record: values.record,
        reconnect: values.reconnect,
        serverPid:
          values['server-pid'] === undefined ? undefined : whole('server-pid', values['server-pid'], 1),
        json: values.json,
        quiet: values.quiet,
      },
    };
  } catch (error) {
    if (error instanceof TypeError) return { ok: false, exitCode: 2, message: error.message };
    throw error;
  }
}

/** @param {string} name @param {string} text @param {number} min */
function whole(name, text, min) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new TypeError(`--${name}: expected a whole number of at least ${min}, found ${text}`);
  return value;
}

/** @template {string} T @param {string} name @param {string} text @param {T[]} choices @returns {T} */
function oneOf(name, text, choices) {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new TypeError(`--${name}: expected ${choices.join(' or ')}, found ${text}`);
  return found;
}

/** @param {string} text */
function tlsOf(text) {
  const choice = oneOf('tls', text, ['off', 'on', 'starttls', 'implicit']);
  return choice === 'on' ? 'starttls' : choice;
}

/** @param {string} text @returns {{ host: string, port: number }} */
export function serverOf(text) {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new TypeError(`--server: expected HOST:PORT, found ${text}`);
  return { host: text.slice(0, colon).replaceAll(/[[\]]/g, ''), port };
}
