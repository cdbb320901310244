/**
 * AUTH towards a hop (RFC 4954), for routes with credentials: PLAIN, or LOGIN where the hop has nothing else, inside
 * TLS only. Whatever goes wrong is an operator's mistake or the hop's trouble, so the mail waits and the hop rests;
 * nothing of it bounces. The password is in no error and no log line, even if the hop repeats it.
 */
import { PosternError } from '../base/errors.js';
import type { HopCredentials } from '../config/config.js';

import type { HopExtensions } from './hop-extensions.js';
import type { HopTimeouts } from './hop-timeouts.js';
import { describeReply, type HopReply } from './last-reply.js';

/** RFC 4954 §4: an initial response goes on the AUTH line only where this allows it (with CRLF). */
const maxCommandLineBytes = 512;

/** Of HopConnection. */
interface Dialogue {
  readonly secure: boolean;
  readonly extensions: HopExtensions;
  readonly timeouts: HopTimeouts;
  command(line: string, phase: string, timeoutMs: number): Promise<HopReply>;
}

/** @throws PosternError RELAY_TLS, RELAY_PROTOCOL, RELAY_TIMEOUT: the caller fails the socket. */
export async function authenticate(connection: Dialogue, credentials: HopCredentials): Promise<void> {
  if (!connection.secure)
    throw new PosternError('RELAY_TLS', '4.7.0 the route has credentials, which go inside TLS only');
  const { authMechanisms } = connection.extensions;
  if (authMechanisms.includes('PLAIN')) return plain(connection, credentials);
  if (authMechanisms.includes('LOGIN')) return login(connection, credentials);
  const offered = authMechanisms.length === 0 ? 'no AUTH' : `only ${authMechanisms.join(' ')}`;
  throw new PosternError('RELAY_PROTOCOL', `4.7.0 the route has credentials, and the hop offers ${offered}`);
}

/** RFC 4616 */
async function plain(connection: Dialogue, credentials: HopCredentials): Promise<void> {
  const response = base64(`\0${credentials.user}\0${credentials.password}`);
  const line = `AUTH PLAIN ${response}`;
  const steps = line.length + 2 <= maxCommandLineBytes ? [line] : ['AUTH PLAIN', response];
  await exchange(connection, credentials, steps);
}

/** Two challenges, whose texts differ from server to server and mean the same. */
async function login(connection: Dialogue, credentials: HopCredentials): Promise<void> {
  const { user, password } = credentials;
  await exchange(connection, credentials, ['AUTH LOGIN', base64(user), base64(password)]);
}

/** 334 after each line but the last, which 235 answers. */
async function exchange(
  connection: Dialogue,
  credentials: HopCredentials,
  lines: readonly string[],
): Promise<void> {
  for (const [index, line] of lines.entries()) {
    const reply = await connection.command(line, 'AUTH', connection.timeouts.hello);
    if (reply.code === (index === lines.length - 1 ? 235 : 334)) continue;
    throw new PosternError('RELAY_PROTOCOL', refusal(credentials, reply));
  }
}

function refusal({ user, password }: HopCredentials, reply: HopReply): string {
  const text = reply.lines.join(' ');
  const secrets = [password, base64(password), base64(`\0${user}\0${password}`)];
  const isRepeated = secrets.some((secret) => text.includes(Buffer.from(secret).toString('latin1')));
  return `AUTH: ${isRepeated ? `${reply.code} (its text repeats the password)` : describeReply(reply)}`;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
