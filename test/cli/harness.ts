/** The built `postern` as a child process, a folder for its config, and a small admin server of the test's own. */
import { once } from 'node:events';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { posternMain } from '../support/postern.js';
import { run, type Exit } from '../support/program.js';

export interface Outcome extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-cli-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function postern(
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; input?: string } = {},
): Promise<Outcome> {
  return run(process.execPath, [posternMain, ...args], options);
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}

/** A body that came, by the order of the requests that had one. */
interface Sent {
  readonly call: string;
  readonly body: string;
}

export interface FakeAdmin {
  readonly configFile: string;
  readonly dataDir: string;
  readonly requests: Request[];
  readonly sent: Sent[];
  readonly token: string;
  close(): void;
}

/** A function answers anew each time. */
type Answer = { readonly status?: number; readonly body: unknown };
export type Answers = Readonly<Record<string, Answer | (() => Answer)>>;

/** Answers `METHOD /path?query` from a table, 401 without its token, 404 for all else. */
export async function fakeAdmin(answers: Answers): Promise<FakeAdmin> {
  const folder = temporaryFolder();
  const dataDir = join(folder, 'data');
  const token = 'x'.repeat(43);
  mkdirSync(dataDir);
  writeFileSync(join(dataDir, 'admin.token'), `${token}\n`);
  const requests: Request[] = [];
  const sent: Sent[] = [];
  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url: path = '', headers } = request;
    if (path !== '/livez') requests.push({ method, path, authorization: headers.authorization });
    const isKnown = headers.authorization === `Bearer ${token}`;
    const found = isKnown ? answers[`${method} ${path}`] : unauthorized;
    const { status = 200, body } = (typeof found === 'function' ? found() : found) ?? notFound;
    const came = await text(request);
    if (came !== '') sent.push({ call: `${method} ${path}`, body: came });
    const isBytes = Buffer.isBuffer(body);
    const type = isBytes ? 'application/octet-stream' : 'application/json';
    response.writeHead(status, { 'content-type': type, connection: 'close' });
    response.end(isBytes || typeof body === 'string' ? body : JSON.stringify(body));
  };
  const server = createServer((request, response) => void respond(request, response));
  const port = await listening(server);
  const configFile = join(folder, 'postern.yaml');
  writeFileSync(configFile, configText(port, dataDir));
  const close = (): void => void server.close();
  cleanups.push(close);
  return { configFile, dataDir, requests, sent, token, close };
}

const unauthorized = {
  status: 401,
  body: { error: { code: 'UNAUTHORIZED', message: 'the token is wrong' } },
};
const notFound = { status: 404, body: { error: { code: 'NOT_FOUND', message: 'no such message' } } };

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}

/** JSON is YAML. */
export function configText(adminPort: number, dataDir: string): string {
  return JSON.stringify({
    hostname: 'mx.example.test',
    dataDir,
    listeners: [{ name: 'mx', address: '127.0.0.1', port: 0 }],
    admin: { port: adminPort },
    domains: [{ names: ['example.test'], route: 'disk' }],
    routes: { disk: { to: 'maildir:./maildir' } },
    // How full the disk is that tests run on is not looked at.
    limits: { diskReserve: 0 },
  });
}
