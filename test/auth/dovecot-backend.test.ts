import { afterEach, describe, expect, it } from 'vitest';
import { DovecotBackend } from '../../src/auth/dovecot-backend.js';
import { PosternError } from '../../src/base/errors.js';
import { answering, FakeDovecot, handshake, requestOf, type FakeDovecotOptions } from './fake-dovecot.js';
import { lookup } from './host-names.js';
import { login } from './logins.js';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function bench(
  options: FakeDovecotOptions,
): Promise<{ fake: FakeDovecot; ask: (password: string, ms?: number) => Promise<string> }> {
  const fake = await FakeDovecot.start(options);
  const backend = new DovecotBackend({ target: { path: fake.path }, service: 'smtp', lookup });
  cleanups.push(() => {
    backend.close();
    fake.stop();
  });
  const ask = async (password: string, ms = 5_000): Promise<string> => {
    try {
      const answer = await backend.ask(login('alice', password), AbortSignal.timeout(ms));
      if (answer.kind === 'ok') return `ok ${answer.user}`;
      return answer.why === undefined ? answer.kind : `${answer.kind}: ${answer.why}`;
    } catch (error) {
      return error instanceof PosternError ? `${error.code} ${error.message}` : String(error);
    }
  };
  return { fake, ask };
}

const replies = {
  tiger: 'OK\tID\tuser=alice@example.test\n',
  plain: 'OK\tID\n',
  lion: 'FAIL\tID\tuser=alice\n',
  moved: 'OK\tID\tuser=alice\tproxy\thost=192.0.2.9\n',
  temp: 'FAIL\tID\ttemp\treason=database down\n',
  code: 'FAIL\tID\tcode=temp_fail\n',
  more: 'CONT\tID\tabcd\n',
  noise: 'PENALTY\tID\n\nOK\tx\nOK\tID\n',
  high: 'OK\t4000000000\n',
  endless: 'x'.repeat(20_000),
};

describe('Dovecot', () => {
  it.each([
    ['tiger', 'ok alice@example.test'],
    ['plain', 'ok alice'],
    ['lion', 'failed'],
    ['moved', 'failed: dovecot: proxy'],
    ['temp', 'AUTH_TEMPORARY dovecot: it cannot say now: database down'],
    ['code', 'AUTH_TEMPORARY dovecot: it cannot say now: temp_fail'],
    ['more', 'AUTH_PROTOCOL dovecot: it wants more than a name and a password'],
    ['noise', 'ok alice'],
    ['high', 'AUTH_PROTOCOL dovecot: it answers what was not asked'],
    ['endless', 'AUTH_PROTOCOL dovecot: it sends lines without end'],
  ])('whose answer is that of %j gives %s', async (password, answer) => {
    const { ask } = await bench({ onLine: answering(replies) });
    expect(await ask(password)).toBe(answer);
  });

  it('is told who asks, and the password in base64 alone, with nothing of it in another field', async () => {
    const { fake, ask } = await bench({ onLine: answering({ 'a\tb\nc': 'OK\tID\n' }) });
    expect(await ask('a\tb\nc')).toBe('ok alice');
    const [version, cpid, auth] = fake.lines;
    expect([version, cpid]).toEqual(['VERSION\t1\t1', expect.stringMatching(/^CPID\t[1-9]\d{0,9}$/)]);
    expect(auth?.split('\t')).toEqual([
      'AUTH',
      '1',
      'PLAIN',
      'service=smtp',
      'nologin',
      'no-penalty',
      'secured',
      'session=S1',
      'rip=192.0.2.1',
      `resp=${Buffer.from('\0alice\0a\tb\nc').toString('base64')}`,
    ]);
  });

  it('has one connection for many, and each gets his own answer in whatever order they come', async () => {
    const held: string[] = [];
    const { fake, ask } = await bench({
      onLine: (line, socket) => {
        const request = requestOf(line);
        if (request === undefined) return;
        held.unshift(`${request.password === 'tiger' ? 'OK' : 'FAIL'}\t${request.id}\n`);
        // In pieces that fit no line.
        if (held.length === 3) for (const piece of held.join('').match(/.{1,3}/gs) ?? []) socket.write(piece);
      },
    });
    expect(await Promise.all([ask('tiger'), ask('lion'), ask('tiger')])).toEqual([
      'ok alice',
      'failed',
      'ok alice',
    ]);
    expect(fake.sockets).toHaveLength(1);
  });

  it('that ended the connection in between is asked on a new one', async () => {
    const { fake, ask } = await bench({ onLine: answering(replies) });
    expect(await ask('tiger')).toBe('ok alice@example.test');
    fake.sockets[0]?.destroy();
    expect(await ask('tiger')).toBe('ok alice@example.test');
    expect(fake.sockets).toHaveLength(2);
  });

  it('that ends every connection instead of an answer is asked twice at most', async () => {
    const { fake, ask } = await bench({
      onLine: (line, socket) => {
        const request = requestOf(line);
        if (request?.password === 'tiger') socket.write(`OK\t${request.id}\n`);
        else if (request !== undefined) socket.destroy();
      },
    });
    await ask('tiger');
    expect(await ask('x')).toBe('AUTH_UNREACHABLE dovecot: the connection was closed');
    expect(fake.sockets).toHaveLength(2);
  });

  it('that is silent for one and answers others keeps its connection, and its late answer is nobody’s', async () => {
    let late = '';
    const { fake, ask } = await bench({
      onLine: (line, socket) => {
        const request = requestOf(line);
        if (request?.password === 'slow') late = request.id;
        else if (request !== undefined) socket.write(`OK\t${late}\nFAIL\t${request.id}\n`);
        if (line.startsWith('CANCEL')) socket.write(`OK\t${late}\n`);
      },
    });
    const slow = ask('slow', 100);
    // Answered after the slow one was asked: the connection lives.
    const other = ask('lion');
    expect(await other).toBe('failed');
    await slow;
    expect(await ask('lion')).toBe('failed');
    expect(fake.sockets).toHaveLength(1);
  });

  it('that has gone silent for all loses its connection at the deadline', async () => {
    const { fake, ask } = await bench({
      onLine: (line, socket) => {
        if (fake.sockets.length > 1) answering(replies)(line, socket);
      },
    });
    expect(await ask('tiger', 50)).toContain('AUTH_UNREACHABLE');
    expect(await ask('tiger')).toBe('ok alice@example.test');
  });

  it.each([
    ['without end', 'SPID\t1\n'.repeat(200), 'AUTH_PROTOCOL dovecot: its handshake has no end'],
    [
      'of another version',
      handshake.replace('VERSION\t1', 'VERSION\t2'),
      'AUTH_PROTOCOL dovecot: it speaks another version',
    ],
    ['without a version', 'DONE\n', 'AUTH_PROTOCOL dovecot: this is no socket for authentication clients'],
    [
      'without PLAIN',
      'VERSION\t1\t2\nMECH\tGSSAPI\nDONE\n',
      'AUTH_PROTOCOL dovecot: it does not offer PLAIN: put it into auth_mechanisms of its config',
    ],
    ['that does not come', '', 'AUTH_UNREACHABLE dovecot: closed by us'],
  ])('with a handshake %s is no backend', async (_, text, error) => {
    const { ask } = await bench({ handshake: text });
    expect(await ask('tiger', 200)).toBe(error);
  });

  it('that is not there is unreachable', async () => {
    const backend = new DovecotBackend({
      target: { path: '/nonexistent/auth-client' },
      service: 'smtp',
      lookup,
    });
    await expect(backend.ask(login('alice', 'tiger'), AbortSignal.timeout(5_000))).rejects.toMatchObject({
      code: 'AUTH_UNREACHABLE',
    });
  });
});
