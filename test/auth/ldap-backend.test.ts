/** A directory that does as it likes. What a right one does is in test/e2e/auth-backends.test.ts, with OpenLDAP. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { TLSSocket, createSecureContext } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { LdapBackend, type LdapOptions } from '../../src/auth/ldap-backend.js';
import { PosternError } from '../../src/base/errors.js';
import { testCertificate } from '../support/postern.js';
import { lookup } from './host-names.js';
import { login } from './logins.js';

const ca = readFileSync(testCertificate.certificate, 'utf8');
const secureContext = createSecureContext({ cert: ca, key: readFileSync(testCertificate.key) });

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** An LDAPResult (RFC 4511 §4.1.9) to the message of this number. @param tag 0x61 bind, 0x65 search done, 0x78 extended */
function result(id: number, tag: number, code = 0): Buffer {
  return Buffer.from([0x30, 0x0c, 0x02, 0x01, id, tag, 0x07, 0x0a, 0x01, code, 0x04, 0x00, 0x04, 0x00]);
}

interface Message {
  readonly id: number;
  /** 0x60 bind, 0x63 search, 0x77 extended */
  readonly tag: number;
  readonly bytes: Buffer;
  /** Inside TLS. */
  readonly secure: boolean;
}

type Respond = (message: Message, socket: Socket) => void;

interface Bench {
  readonly messages: Message[];
  readonly ask: (password?: string, ms?: number) => Promise<string>;
}

/** Messages of ours are short and come one at a time: one a chunk. */
async function bench(
  respond: Respond,
  tls: LdapOptions['server']['tls'],
  find: LdapOptions['find'],
): Promise<Bench> {
  const messages: Message[] = [];
  const listen = (socket: Socket, secure: boolean): void => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes: Buffer) => {
      const message = { id: bytes[4] ?? 0, tag: bytes[5] ?? 0, bytes, secure };
      messages.push(message);
      if (message.tag !== 0x77 || secure) return respond(message, socket);
      socket.removeAllListeners('data');
      respond(message, socket);
      // The answer has to leave before TLS takes the socket over.
      socket.write('', () => listen(new TLSSocket(socket, { isServer: true, secureContext }), true));
    });
  };
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    listen(socket, false);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const backend = await LdapBackend.open({ server: { host: 'localhost', port, tls, ca, lookup }, find });
  cleanups.push(() => {
    backend.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const ask = async (password = 'tiger', ms = 3_000): Promise<string> => {
    try {
      return (await backend.ask(login('alice', password), AbortSignal.timeout(ms))).kind;
    } catch (error) {
      return error instanceof PosternError ? error.code : String(error);
    }
  };
  return { messages, ask };
}

const dn = { dn: 'uid={user},dc=x' };
const search = { search: { base: 'dc=x', filter: '(uid={user})', account: undefined } };

/** An entry that a search found, with an empty DN. */
function nameless(id: number): Buffer {
  return Buffer.from([0x30, 0x09, 0x02, 0x01, id, 0x64, 0x04, 0x04, 0x00, 0x30, 0x00]);
}

describe('the result of a bind', () => {
  it.each([
    [0, 'ok'],
    [49, 'failed'],
    [48, 'failed'],
    [32, 'failed'],
    [34, 'failed'],
    [19, 'failed'],
    [53, 'failed'],
    [51, 'AUTH_TEMPORARY'],
    [52, 'AUTH_TEMPORARY'],
    [1, 'AUTH_PROTOCOL'],
    [8, 'AUTH_PROTOCOL'],
    [13, 'AUTH_PROTOCOL'],
    [50, 'AUTH_PROTOCOL'],
    [80, 'AUTH_PROTOCOL'],
  ])('%i is %s', async (code, answer) => {
    const { ask } = await bench(({ id }, socket) => socket.write(result(id, 0x61, code)), 'off', dn);
    expect(await ask()).toBe(answer);
  });
});

describe('a directory', () => {
  it('gets no password before TLS, nor after it lost the connection that had it', async () => {
    const { messages, ask } = await bench(
      ({ id, tag }, socket) => {
        if (tag === 0x77) socket.write(result(id, 0x78));
        else socket.end(result(id, 0x61));
      },
      'starttls',
      dn,
    );
    for (let i = 0; i < 3; i++) {
      expect(await ask()).toBe('ok');
      // It closes each connection after one bind: the next one must begin anew.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(messages.filter(({ bytes }) => bytes.includes('tiger')).every(({ secure }) => secure)).toBe(true);
    expect(messages.map(({ tag }) => tag)).toEqual([0x77, 0x60, 0x77, 0x60, 0x77, 0x60]);
  });

  it('that says more than its answer before TLS is not believed: that may be somebody on the way', async () => {
    for (const more of [result(3, 0x61), result(3, 0x61).subarray(0, 5)]) {
      const { messages, ask } = await bench(
        ({ id, tag }, socket) =>
          socket.write(tag === 0x77 ? Buffer.concat([result(id, 0x78), more]) : result(id, 0x61, 49)),
        'starttls',
        dn,
      );
      expect(await ask()).toBe('AUTH_UNREACHABLE');
      expect(messages.map(({ tag }) => tag)).toEqual([0x77]);
    }
  });

  it('that refuses StartTLS gets no password', async () => {
    const { messages, ask } = await bench(
      ({ id }, socket) => socket.write(result(id, 0x78, 2)),
      'starttls',
      dn,
    );
    expect(await ask()).toBe('AUTH_PROTOCOL');
    expect(messages).toHaveLength(1);
  });

  it.each<[string, Respond]>([
    ['is silent', () => undefined],
    ['sends no LDAP', (_, socket) => socket.write('220 smtp\r\n')],
    [
      'sends a length and nothing behind it',
      (_, socket) => socket.write(Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff])),
    ],
    ['answers another question', ({ id }, socket) => socket.write(result(id + 1, 0x61))],
  ])('that %s is left at the deadline', async (_, respond) => {
    const { ask } = await bench(respond, 'off', dn);
    expect(await ask('tiger', 100)).toBe('AUTH_UNREACHABLE');
  });

  it('that answers without end is not listened to', async () => {
    const { ask } = await bench(
      (_, socket) =>
        socket.write(
          Buffer.concat([Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]), Buffer.alloc(200_000)]),
        ),
      'off',
      dn,
    );
    expect(await ask()).toBe('AUTH_UNREACHABLE');
  });

  it('that ends the connection instead of an answer is asked twice at most', async () => {
    let binds = 0;
    const { ask } = await bench(
      ({ id }, socket) => {
        if (++binds === 1) socket.write(result(id, 0x61));
        else socket.destroy();
      },
      'off',
      dn,
    );
    expect(await ask()).toBe('ok');
    expect(await ask()).toBe('AUTH_UNREACHABLE');
    expect(binds).toBe(3);
  });

  it('A-104: that finds nobody, or an entry without a name, is asked for a bind all the same, as nobody that there is', async () => {
    const names = new Set<string>();
    for (const entries of [0, 1]) {
      const { messages, ask } = await bench(
        ({ id, tag }, socket) =>
          socket.write(
            tag === 0x60
              ? result(id, 0x61)
              : Buffer.concat([...Array.from({ length: entries }, () => nameless(id)), result(id, 0x65)]),
          ),
        'off',
        search,
      );
      // Though the directory takes the bind.
      expect(await ask()).toBe('failed');
      expect(messages.map(({ tag }) => tag)).toEqual([0x63, 0x60]);
      const name = /cn=[0-9a-f]{32},dc=x/.exec(messages[1]?.bytes.toString('latin1') ?? '')?.[0] ?? '';
      expect(name).not.toBe('');
      names.add(name);
    }
    expect(names.size).toBe(2);
  });

  it('that goes silent on one kept connection is not waited for on the others: the next login opens its own', async () => {
    const silent = new Set<Socket>();
    const seen = new Set<Socket>();
    let isSilent = false;
    const { ask } = await bench(
      ({ id }, socket) => {
        seen.add(socket);
        if (isSilent && silent.size === 0) for (const known of seen) silent.add(known);
        if (!silent.has(socket)) setTimeout(() => socket.write(result(id, 0x61)), 20);
      },
      'off',
      dn,
    );
    expect(await Promise.all([ask(), ask(), ask()])).toEqual(['ok', 'ok', 'ok']);
    expect(seen.size).toBe(3);
    isSilent = true;
    expect(await ask('tiger', 100)).toBe('AUTH_UNREACHABLE');
    expect(await ask('tiger', 1_000)).toBe('ok');
    expect(seen.size).toBe(4);
  });

  it('is never asked to bind without a password', async () => {
    const { messages, ask } = await bench(({ id }, socket) => socket.write(result(id, 0x61)), 'off', dn);
    expect(await ask('')).toBe('TypeError: a bind without a password or a name');
    expect(messages).toEqual([]);
  });
});
