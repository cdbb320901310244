/**
 * `postern send`: sends one test message and shows the conversation. Owns the order of commands and what a person is
 * told when it fails; the message itself is test-message.ts, the conversation smtp-dialogue.ts. Talks SMTP only, never
 * to a queue.
 */
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import type { ListenerConfig } from '../config/config.js';
import { loadFirstListener } from '../config/partial.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes, UsageError } from './failure.js';
import { knownPassword } from './prompt.js';
import { SmtpDialogue, type DialogueReply } from './smtp-dialogue.js';
import { composeMessage, isAscii, toCrlf } from './test-message.js';

const sendTls = ['off', 'starttls', 'implicit'] as const;
type SendTls = (typeof sendTls)[number];

/** Never on the command line, which `ps` and shell histories keep. */
const passwordVariable = 'POSTERN_SEND_PASSWORD';

/** Postern's commandTimeoutMs is 5 min, but a person waits: a server that is silent this long has a fault to look at. */
const replyTimeoutMs = 60_000;

const defaultServer = { host: '127.0.0.1', port: 2525 };

interface Server {
  readonly host: string;
  readonly port: number;
}

interface SendOptions extends ConfigOption {
  readonly to: readonly string[];
  readonly from: string;
  readonly server?: Server;
  readonly subject: string;
  readonly body: string;
  readonly file?: string;
  readonly tls?: SendTls;
  readonly insecure: boolean;
  readonly user?: string;
  readonly quiet: boolean;
}

/** What to send where, all options resolved. */
interface Errand {
  readonly server: Server;
  readonly tls: SendTls;
  readonly insecure: boolean;
  readonly from: string;
  readonly to: readonly string[];
  readonly message: Buffer;
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
  readonly show: (who: 'C' | 'S' | '-', line: string) => void;
}

/** A refusal by the server, or a wish that it cannot fulfil: for the person, with what to do. */
class SendFailure extends Error {
  override readonly name = 'SendFailure';
}

export function sendCommand(): Command {
  return new Command('send')
    .description('send a test message and show the conversation')
    .requiredOption('--to <address>', 'recipient; may be given several times', collectAddress)
    .option('--from <address>', 'sender; empty for the null reverse-path', parseAddress, defaultSender())
    .option('--server <host:port>', 'where to send (default: the first listener of the config)', parseServer)
    .addOption(configOption())
    .option('--subject <text>', 'subject', 'Test message from postern send')
    .option('--body <text>', 'text', 'This message was sent with `postern send`.')
    .addOption(
      new Option('--file <file>', 'send this message (header and body; - is stdin)').conflicts([
        'subject',
        'body',
      ]),
    )
    .addOption(
      new Option('--tls <mode>', 'TLS (default: what the listener of --config needs, or off)').choices(
        sendTls,
      ),
    ) // prettier-ignore
    .option('--insecure', 'accept any certificate', false)
    .option(
      '--user <name>',
      `log in; the password comes from ${passwordVariable}, a prompt, or the first line of stdin`,
    )
    .option('--quiet', 'print faults only', false)
    .action(async (options: SendOptions, command: Command) => {
      process.exitCode = await run(options, command);
    });
}

function collectAddress(text: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), parseAddress(text)];
}

/** Only what would break the command line; whether the address is a good one is for the server to say. */
function parseAddress(text: string): string {
  const address = text.replace(/^<(.*)>$/, '$1');
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f<>]/.test(address)) throw new InvalidArgumentError('not an address.');
  return address;
}

function defaultSender(): string {
  return `postern@${hostname()}`;
}

/** `host`, `host:port`, `[::1]:25`, `::1`. */
function parseServer(text: string): Server {
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+)(?::(\d+))?$/.exec(text);
  const host = match === null && text.includes('::') ? text : match?.[1];
  const port = Number(match?.[2] ?? defaultServer.port);
  if (host === undefined || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected HOST:PORT, such as 127.0.0.1:2525 or [::1]:25.');
  return { host, port };
}

async function run(options: SendOptions, command: Command): Promise<number> {
  const errand = await prepare(options, command);
  try {
    const summary = await deliver(errand);
    if (!options.quiet) process.stdout.write(`${summary}\n`);
    return exitCodes.done;
  } catch (error) {
    process.stderr.write(`postern send: ${explain(error, errand)}\n`);
    return exitCodes.failed;
  }
}

/** Everything that can be wrong with the command itself is found here, before a connection is made. @throws UsageError */
async function prepare(options: SendOptions, command: Command): Promise<Errand> {
  return {
    ...target(options, command),
    insecure: options.insecure,
    from: options.from,
    to: options.to,
    message: readMessage(options),
    credentials: await readCredentials(options),
    show: options.quiet ? () => undefined : showLine,
  };
}

/** @throws ConfigError */
function target(options: SendOptions, command: Command): { server: Server; tls: SendTls } {
  if (options.server !== undefined) return { server: options.server, tls: options.tls ?? 'off' };
  // Nobody named a config and the default one is not here: the port of the config that comes with Postern.
  const unnamed = command.getOptionValueSource('config') === 'default';
  if (unnamed && !existsSync(options.config)) return { server: defaultServer, tls: options.tls ?? 'off' };
  const { address, port, tls } = loadFirstListener(options.config, process.env);
  return { server: { host: reachable(address), port }, tls: options.tls ?? clientTls(tls) };
}

/** A listener on every address is reached on loopback. */
function reachable(address: string): string {
  return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
}

function clientTls(tls: ListenerConfig['tls']): SendTls {
  return tls === 'implicit' ? 'implicit' : tls === 'required' ? 'starttls' : 'off';
}

function showLine(who: 'C' | 'S' | '-', line: string): void {
  process.stdout.write(`${who}: ${line}\n`);
}

function readMessage(options: SendOptions): Buffer {
  if (options.file === undefined) return composeMessage({ ...options, date: new Date() });
  try {
    return toCrlf(readFileSync(options.file === '-' ? 0 : options.file));
  } catch (error) {
    throw new UsageError(`cannot read the message from --file ${options.file}: ${describeError(error)}`);
  }
}

/** The password: from the environment, a prompt, or the first line of stdin. @throws UsageError */
async function readCredentials({ user, file }: SendOptions): Promise<Errand['credentials']> {
  if (user === undefined) return undefined;
  const password = process.env[passwordVariable];
  if (password !== undefined) return { user, password };
  if (file === '-') throw new UsageError(`stdin is the message: give the password in ${passwordVariable}`);
  return { user, password: await knownPassword(user) };
}

/** The whole conversation. Resolves with a sentence about what was accepted. @throws SendFailure, PosternError */
async function deliver(errand: Errand): Promise<string> {
  const { server, tls, insecure, show } = errand;
  const dialogue = await SmtpDialogue.open({
    ...server,
    implicitTls: tls === 'implicit',
    insecure,
    timeoutMs: replyTimeoutMs,
    show,
  });
  try {
    return await converse(dialogue, errand);
  } finally {
    dialogue.close();
  }
}

async function converse(dialogue: SmtpDialogue, errand: Errand): Promise<string> {
  expectCode(await dialogue.reply(), 220, 'the connection');
  let extensions = await greet(dialogue);
  if (errand.tls === 'starttls') {
    if (!extensions.has('STARTTLS')) throw new SendFailure('the server does not offer STARTTLS. Use --tls off, or set up a certificate (config key `tls`).'); // prettier-ignore
    expectCode(await dialogue.command('STARTTLS'), 220, 'STARTTLS');
    await dialogue.startTls();
    extensions = await greet(dialogue);
  }
  await authenticate(dialogue, errand, extensions);
  const accepted = await sendEnvelope(dialogue, errand, extensions);
  expectCode(await dialogue.command('DATA'), 354, 'DATA');
  const verdict = await dialogue.data(errand.message);
  expectCode(verdict, 250, 'the message');
  await dialogue.command('QUIT');
  const refused = errand.to.length - accepted.length;
  if (refused > 0) throw new SendFailure(`sent to ${accepted.join(', ')}, but ${refused} of ${errand.to.length} recipients were refused: the 4xx and 5xx replies to RCPT above say why.`); // prettier-ignore
  return `Accepted: ${verdict.lines.join(' ')}`;
}

/** EHLO; its answer by keyword. */
async function greet(dialogue: SmtpDialogue): Promise<Map<string, string>> {
  const reply = await dialogue.command(`EHLO ${ehloName()}`);
  expectCode(reply, 250, 'EHLO');
  return new Map(
    reply.lines.slice(1).map((line) => {
      const space = line.indexOf(' ');
      return space < 0
        ? [line.toUpperCase(), '']
        : [line.slice(0, space).toUpperCase(), line.slice(space + 1)];
    }),
  );
}

/** RFC 5321 §4.1.1.1: a name, or a literal where there is none that can be a name. */
function ehloName(): string {
  const name = hostname();
  return /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(name) ? name : '[127.0.0.1]';
}

async function authenticate(
  dialogue: SmtpDialogue,
  { credentials }: Errand,
  extensions: Map<string, string>,
): Promise<void> {
  if (credentials === undefined) return;
  const mechanisms = (extensions.get('AUTH') ?? '').toUpperCase().split(' ');
  const { user, password } = credentials;
  if (mechanisms.includes('PLAIN')) {
    const token = Buffer.from(`\0${user}\0${password}`).toString('base64');
    expectCode(await dialogue.command(`AUTH PLAIN ${token}`, 'AUTH PLAIN (password)'), 235, 'AUTH');
    return;
  }
  if (!mechanisms.includes('LOGIN'))
    throw new SendFailure('the server offers no AUTH PLAIN or LOGIN here. Postern offers them under TLS only, where a users file is set: try --tls starttls.'); // prettier-ignore
  expectCode(await dialogue.command('AUTH LOGIN'), 334, 'AUTH');
  expectCode(await dialogue.command(Buffer.from(user).toString('base64'), '(user)'), 334, 'AUTH');
  expectCode(await dialogue.command(Buffer.from(password).toString('base64'), '(password)'), 235, 'AUTH');
}

/** MAIL and RCPTs. Resolves with the accepted recipients, at least one. */
async function sendEnvelope(
  dialogue: SmtpDialogue,
  { from, to, message }: Errand,
  extensions: Map<string, string>,
): Promise<string[]> {
  const parameters = [
    extensions.has('SIZE') ? ` SIZE=${message.length}` : '',
    extensions.has('8BITMIME') && !isAscii(message) ? ' BODY=8BITMIME' : '',
    extensions.has('SMTPUTF8') && !isAscii([from, ...to].join('')) ? ' SMTPUTF8' : '',
  ];
  expectCode(await dialogue.command(`MAIL FROM:<${from}>${parameters.join('')}`), 250, 'the sender');
  const accepted: string[] = [];
  let lastRefusal: DialogueReply | undefined;
  for (const address of to) {
    const reply = await dialogue.command(`RCPT TO:<${address}>`);
    // RFC 5321 §3.4: 251 is an acceptance too.
    if (reply.code === 250 || reply.code === 251) accepted.push(address);
    else lastRefusal = reply;
  }
  if (accepted.length === 0 && lastRefusal !== undefined) expectCode(lastRefusal, 250, 'every recipient');
  return accepted;
}

function expectCode(reply: DialogueReply, code: number, what: string): void {
  if (reply.code === code) return;
  throw new SendFailure(
    `the server refused ${what}: ${reply.code} ${reply.lines.join(' ')}\n${advice(reply.code)}`,
  );
}

function advice(code: number): string {
  if (code === 530)
    return 'It wants TLS or a login first: try --tls starttls, and --user NAME on a submission listener.';
  if (code === 535) return 'The user or the password is wrong: `postern users list` shows the users.';
  if (code < 500) return 'That is for now only: try again later; the log of the server says why.';
  return 'That is for good: the reply names the reason; the log of the server has more.';
}

/** Of an error that ended the conversation, what a person can do about it. */
function explain(error: unknown, { server, tls }: Errand): string {
  const where = `${server.host}:${server.port}`;
  if (!(error instanceof PosternError)) return describeError(error);
  const cause = errorCodeOf(error.cause);
  if (cause === 'ECONNREFUSED')
    return `nothing listens on ${where}. Start it with \`postern start --config FILE\`, or name another with --server HOST:PORT.`;
  if (error.code === 'RELAY_TLS')
    return `TLS with ${where} failed: ${error.message}. For a self-signed certificate use --insecure; ${tls === 'implicit' ? 'is this a port with TLS from the first byte? Else use --tls starttls.' : 'the log of the server may say more.'}`;
  if (error.code === 'RELAY_PROTOCOL') return `${where} does not speak SMTP: ${error.message}. Is the port right?${tls === 'off' ? ' A port with TLS from the first byte needs --tls implicit.' : ''}`; // prettier-ignore
  return `${where}: ${error.message}. Is the address right, and does the server run? Its log may say more.`;
}
