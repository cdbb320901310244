import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpBackend, type HttpOptions } from '../../src/auth/http-backend.js';
import { PosternError } from '../../src/base/errors.js';
import { lookup } from './host-names.js';
import { login } from './logins.js';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Bench {
  readonly server: Server;
  readonly sockets: Socket[];
  readonly ask: (ms?: number) => Promise<string>;
}

async function bench(handler: Handler, options: Partial<HttpOptions> = {}): Promise<Bench> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (text: string) => (body += text));
    request.on('end', () => handler(request, response, body));
  });
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const backend = new HttpBackend({
    url: `http://127.0.0.1:${port}/check`,
    token: undefined,
    secret: undefined,
    ca: undefined,
    connections: 2,
    lookup,
    ...options,
  });
  cleanups.push(() => {
    backend.close();
    server.close();
    server.closeAllConnections();
  });
  const ask = async (ms = 5_000): Promise<string> => {
    try {
      const answer = await backend.ask(login('alice', 'tiger'), AbortSignal.timeout(ms));
      return answer.kind === 'ok' ? `ok ${answer.user}` : answer.kind;
    } catch (error) {
      return error instanceof PosternError ? error.code : String(error);
    }
  };
  return { server, sockets, ask };
}

const saying =
  (status: number, body: string): Handler =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  };

describe('a service over HTTP', () => {
  const table: [status: number, body: string, answer: string, why: string][] = [
    [200, '{"result":"ok"}', 'ok alice', 'yes'],
    [
      200,
      '{"result":"ok","user":"alice@example.test","more":[1]}',
      'ok alice@example.test',
      'yes, by another name',
    ],
    [200, '{"result":"ok","user":null}', 'ok alice', 'yes, without one'],
    [200, '{"result":"failed"}', 'failed', 'no'],
    [200, '{"result":"unavailable"}', 'AUTH_TEMPORARY', 'not now'],
    [200, '{"result":"ok","user":7}', 'AUTH_PROTOCOL', 'a name that is none'],
    [200, '{"result":true}', 'AUTH_PROTOCOL', 'a result that is none'],
    [200, '{"ok":true}', 'AUTH_PROTOCOL', 'another contract'],
    [200, 'true', 'AUTH_PROTOCOL', 'no map'],
    [200, 'null', 'AUTH_PROTOCOL', 'nothing'],
    [200, '', 'AUTH_PROTOCOL', 'no body'],
    [200, '<html>', 'AUTH_PROTOCOL', 'no JSON'],
    [200, `{"result":"ok"}${' '.repeat(20_000)}`, 'AUTH_PROTOCOL', 'too long, though right'],
    [401, '{"result":"failed"}', 'AUTH_PROTOCOL', 'we are not known there: no word on the password'],
    [403, '', 'AUTH_PROTOCOL', 'nor here'],
    [404, '{"result":"ok"}', 'AUTH_PROTOCOL', 'the wrong place'],
    [302, '', 'AUTH_PROTOCOL', 'a password is not sent on to where a redirect points'],
    [429, '', 'AUTH_TEMPORARY', 'too much'],
    [500, '{"result":"ok"}', 'AUTH_TEMPORARY', 'broken'],
    [503, '', 'AUTH_TEMPORARY', 'down'],
  ];
  it.each(table)('that answers %i %j gives %s: %s', async (status, body, answer) => {
    const { ask } = await bench(saying(status, body));
    expect(await ask()).toBe(answer);
  });

  it('gets the login as JSON, a bearer token, and a signature over time and body', async () => {
    let seen: { headers: IncomingMessage['headers']; method: string | undefined; body: string } | undefined;
    const secret = 'a-secret-of-twenty-characters';
    const { ask } = await bench(
      (request, response, body) => {
        seen = { headers: request.headers, method: request.method, body };
        response.end('{"result":"ok"}');
      },
      { token: 'a-token-of-sixteen', secret, nowMs: () => 1_700_000_000_999 },
    );
    expect(await ask()).toBe('ok alice');
    expect(seen?.method).toBe('POST');
    expect(JSON.parse(seen?.body ?? '')).toEqual({
      user: 'alice',
      password: 'tiger',
      mechanism: 'PLAIN',
      client: '192.0.2.1',
      listener: 'submission',
      session: 'S1',
    });
    const signature = createHmac('sha256', secret).update(`1700000000.${seen?.body}`).digest('hex');
    expect(seen?.headers).toMatchObject({
      'content-type': 'application/json',
      authorization: 'Bearer a-token-of-sixteen',
      'postern-signature': `t=1700000000,v1=${signature}`,
    });
  });

  it('keeps its connection, and one that it closed in between is no outage', async () => {
    const { ask, sockets } = await bench(saying(200, '{"result":"ok"}'));
    expect([await ask(), await ask()]).toEqual(['ok alice', 'ok alice']);
    expect(sockets).toHaveLength(1);
    sockets[0]?.destroy();
    expect(await ask()).toBe('ok alice');
    expect(sockets).toHaveLength(2);
  });

  it('that goes silent on one kept connection is not waited for on the others', async () => {
    const silent = new Set<Socket>();
    const { ask, sockets } = await bench((request, response) => {
      if (!silent.has(request.socket)) setTimeout(() => response.end('{"result":"ok"}'), 20);
    });
    expect(await Promise.all([ask(), ask()])).toEqual(['ok alice', 'ok alice']);
    for (const socket of sockets) silent.add(socket);
    expect(await ask(100)).toBe('AUTH_UNREACHABLE');
    expect(await ask(1_000)).toBe('ok alice');
    expect(sockets).toHaveLength(3);
  });

  it('that ends each connection without an answer is unreachable', async () => {
    const { ask } = await bench((request) => request.socket.destroy());
    expect(await ask()).toBe('AUTH_UNREACHABLE');
  });

  it('that breaks off in its answer is unreachable', async () => {
    const { ask } = await bench((request, response) => {
      response.writeHead(200, { 'content-length': 15 }).write('{"result');
      setImmediate(() => request.socket.destroy());
    });
    expect(await ask()).toBe('AUTH_UNREACHABLE');
  });

  it('that drips without end is left at the deadline', async () => {
    const { ask, sockets } = await bench((_, response) => {
      response.writeHead(200).write('{');
    });
    expect(await ask(100)).toBe('AUTH_UNREACHABLE');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sockets.every((socket) => socket.destroyed || socket.readableEnded)).toBe(true);
  });

  it('that answers without end is not listened to', async () => {
    const { ask } = await bench((_, response) => {
      const more = (): void => {
        if (!response.destroyed && response.write(' '.repeat(4_096))) setImmediate(more);
      };
      response.writeHead(200);
      response.on('drain', more);
      more();
    });
    expect(await ask()).toBe('AUTH_PROTOCOL');
  });

  it('that is not there is unreachable', async () => {
    const { server, ask } = await bench(saying(200, ''));
    server.close();
    await once(server, 'close');
    expect(await ask()).toBe('AUTH_UNREACHABLE');
  });
});
