/** What transcripts cannot say: asking and answering, turns, deadlines, the end. */
import { describe, expect, test } from 'vitest';
import { queuedAs, replies } from '../../src/protocol/replies.js';
import { askBits, type Question, type SessionOptions, type Verdict } from '../../src/protocol/types.js';
import { limits, manners, describeManner, options, Peer, policy } from './harness.js';

/** The policy, but for one kind of question. */
function except(kind: Question['kind'], verdict: Verdict): (question: Question) => Verdict {
  return (question) => (question.kind === kind ? verdict : policy(question));
}

/** A peer that notes its questions and answers none. */
function silentPeer(): { peer: Peer; asked: Question[] } {
  const asked: Question[] = [];
  const peer = new Peer();
  peer.ask = (question) => asked.push(question);
  peer.session.start(peer);
  return { peer, asked };
}

function kinds(peer: Peer): string[] {
  return peer.questions.map((question) => (question.kind === 'verb' ? question.verb : question.kind));
}

const envelope = 'EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n';

describe.each(manners.map((manner) => [describeManner(manner), manner] as const))(
  'pipelines, %s',
  (_, manner) => {
    test('C-081: 500 RCPTs get 500 replies in order', () => {
      const peer = new Peer(undefined, manner).start().send('EHLO t\r\nMAIL FROM:<a@x.test>\r\n');
      peer.codes();
      const wanted = Array.from({ length: 500 }, (_, n) => n % 7 === 3);
      const lines = wanted.map((good, n) => `RCPT TO:<r${n}@${good ? 'ok' : 'elsewhere'}.test>\r\n`);
      const lenient = new Peer({ ...options, limits: { ...limits, errors: 1000 } }, manner).start();
      lenient.send(`EHLO t\r\nMAIL FROM:<a@x.test>\r\n`).codes();
      expect(lenient.send(lines.join('')).codes()).toEqual(
        wanted.map((good) => (good ? '250 2.1.5' : '550 5.7.1')),
      );
      expect(lenient.session.transaction?.recipients.map(({ mailbox }) => mailbox.localPart)).toEqual(
        wanted.flatMap((good, n) => (good ? [`r${n}`] : [])),
      );
    });

    test('C-029: as many replies as commands, whatever they are', () => {
      const commands = [
        'NOOP',
        'MAIL FROM:<a@x.test>',
        'RCPT TO:<b@ok.test>',
        'RSET',
        'FOO',
        'VRFY x',
        'EHLO t',
        'RCPT TO:<x@elsewhere.test>',
        'HELP',
        'MAIL FROM:',
      ];
      const many = Array.from({ length: 3000 }, (_, n) => commands[(n * 7919) % commands.length] ?? '');
      const peer = new Peer(
        { ...options, limits: { ...limits, errors: 5000, junkCommands: 5000 } },
        manner,
      ).start();
      peer.codes();
      expect(peer.send(many.map((command) => `${command}\r\n`).join('')).codes()).toHaveLength(many.length);
    });
  },
);

test.each([
  ['EHLO t', '250'],
  ['NOOP', '250 2.0.0'],
  ['VRFY b@ok.test', '252 2.5.0'],
  ['EXPN l', '502 5.5.1'],
  ['TURN', '502 5.5.1'],
  ['FOO', '500 5.5.2'],
  ['RCPT TO:<c@ok.test>', '250 2.1.5'],
  ['DATA', '354'],
  ['QUIT', '221 2.0.0'],
])(
  'C-084 C-085: %s is answered before the call that fed it returns, with nothing behind it',
  (line, code) => {
    const peer = new Peer().start().send('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\n');
    peer.codes();
    peer.session.feed(Buffer.from(`${line}\r\n`), peer);
    expect(peer.codes()).toEqual([code]);
  },
);

describe('a turn', () => {
  test('is bounded: 8 KiB of commands, since long ones cost more', () => {
    const peer = new Peer({ ...options, limits: { ...limits, junkCommands: 1e6 } }).start();
    peer.codes();
    peer.session.feed(Buffer.from(`NOOP ${'x'.repeat(1017)}\r\n`.repeat(9)), peer);
    expect(peer.replies).toHaveLength(8);
    expect(peer.session.hasMore).toBe(true);
    peer.session.resume(peer);
    expect(peer.replies).toHaveLength(9);
    expect(peer.session.hasMore).toBe(false);
  });

  test('is bounded: 256 commands, then others come first', () => {
    const peer = new Peer({ ...options, limits: { ...limits, junkCommands: 1000 } });
    peer.session.start(peer);
    peer.session.feed(Buffer.from('NOOP\r\n'.repeat(600)), peer);
    expect(peer.session.hasMore).toBe(true);
    expect(peer.session.deadline).toBe('none');
    expect(peer.replies).toHaveLength(1 + 256);
    peer.session.feed(Buffer.from('QUIT\r\n'), peer);
    expect(peer.replies).toHaveLength(1 + 256);
    peer.session.resume(peer);
    expect(peer.replies).toHaveLength(1 + 512);
    peer.session.resume(peer);
    expect(peer.session.hasMore).toBe(false);
    expect(peer.replies).toHaveLength(1 + 600 + 1);
    expect(peer.closed).toBe('quit');
  });

  test('resume without anything kept does nothing', () => {
    const peer = new Peer().start();
    peer.session.resume(peer);
    expect(peer.codes()).toEqual(['220']);
  });
});

describe('a question', () => {
  test('suspends the session; bytes that come meanwhile wait for the answer', () => {
    const { peer, asked } = silentPeer();
    peer.session.feed(Buffer.from('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nNO'), peer);
    expect(asked).toMatchObject([{ kind: 'recipient', mailbox: { address: 'b@ok.test' } }]);
    expect(peer.session.suspended).toBe(true);
    expect(peer.session.deadline).toBe('none');
    expect(peer.codes()).toEqual(['220', '250', '250 2.1.0']);
    peer.session.feed(Buffer.from('OP\r\n'), peer);
    expect(peer.codes()).toEqual([]);
    peer.session.answer({ ok: true, route: 'r' }, peer);
    expect(peer.codes()).toEqual(['250 2.1.5', '250 2.0.0']);
    expect(peer.session.suspended).toBe(false);
    expect(peer.session.transaction?.recipients).toMatchObject([{ route: 'r' }]);
  });

  test('keeps no more than its bound: the caller should have paused', () => {
    const { peer } = silentPeer();
    peer.session.feed(Buffer.from('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nNOOP\r\n'), peer);
    const feed = (): void => peer.session.feed(Buffer.alloc(65_536), peer);
    for (let chunks = 0; chunks < 16; chunks++) feed();
    expect(feed).toThrow(/fed without end/);
  });

  test('what has been used up does not count against that bound', () => {
    const { peer } = silentPeer();
    peer.session.feed(Buffer.from('EHLO t\r\nMAIL FROM:<a@x.test>\r\n'), peer);
    const line = Buffer.from(`RCPT TO:<b@ok.test>${' '.repeat(1900)}\r\n`);
    peer.session.feed(line, peer);
    for (let n = 0; n < 900; n++) {
      peer.session.feed(line, peer);
      peer.session.answer({ ok: true }, peer);
    }
    expect(peer.session.transaction?.recipients).toHaveLength(900);
  });

  test('a second answer to one question is our mistake', () => {
    const peer = new Peer();
    peer.ask = () => {
      peer.session.answer({ ok: true }, peer);
      peer.session.answer({ ok: true }, peer);
    };
    peer.start().send('EHLO t\r\nMAIL FROM:<>\r\n');
    expect(() => peer.send('RCPT TO:<b@ok.test>\r\n')).toThrow(/without a question/);
  });

  test('an answer nobody asked for is our mistake', () => {
    const { peer } = silentPeer();
    expect(() => peer.session.answer({ ok: true }, peer)).toThrow(/without a question/);
  });

  test('an answer that comes after the end is ignored', () => {
    const { peer } = silentPeer();
    peer.session.feed(Buffer.from('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\n'), peer);
    peer.session.end(peer);
    peer.codes();
    peer.session.answer({ ok: true }, peer);
    expect(peer.codes()).toEqual([]);
  });

  test('a long pipeline answered at once does not grow the stack', () => {
    const peer = new Peer({ ...options, limits: { ...limits, recipients: 100_000 } }).start();
    peer.send(`EHLO t\r\nMAIL FROM:<a@x.test>\r\n${'RCPT TO:<b@ok.test>\r\n'.repeat(20_000)}`);
    expect(peer.codes()).toHaveLength(3 + 20_000);
  });

  test('a verdict may replace the address that is stored', () => {
    const peer = new Peer(undefined, undefined, () => ({ ok: true, address: 'hostmaster@ok.test' })).start();
    peer.send('EHLO t\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\n');
    expect(peer.session.transaction?.recipients).toMatchObject([
      { mailbox: { address: 'hostmaster@ok.test', localPart: 'Postmaster' } },
    ]);
  });

  test('a refusal may close', () => {
    const peer = new Peer(undefined, undefined, () => ({
      ok: false,
      reply: replies.relayDenied,
      close: true,
    })).start();
    peer.send('EHLO t\r\nMAIL FROM:<>\r\nRCPT TO:<b@ok.test>\r\nNOOP\r\n');
    expect(peer.codes()).toEqual(['220', '250', '250 2.1.0', '550 5.7.1']);
    expect(peer.closed).toBe('refused');
  });

  test('C-026: 421 closes by itself', () => {
    const peer = new Peer(undefined, undefined, () => ({ ok: false, reply: replies.shuttingDown })).start();
    peer.send('EHLO t\r\nMAIL FROM:<>\r\nRCPT TO:<b@ok.test>\r\n');
    expect(peer.closed).toBe('refused');
  });

  test('a message is never accepted without the reply that names it', () => {
    const peer = new Peer(undefined, undefined, () => ({ ok: true })).start();
    peer.send(envelope);
    expect(() => peer.send('x\r\n.\r\n')).toThrow(/without the reply/);
  });

  test('C-051 C-060: a refused message-end drops the transaction and does not count as an error', () => {
    const decide = except('message-end', { ok: false, reply: replies.refused });
    const peer = new Peer({ ...options, limits: { ...limits, errors: 2 } }, undefined, decide).start();
    peer.send('EHLO t\r\n');
    for (let n = 0; n < 5; n++) {
      peer.send('MAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n').codes();
      expect(peer.send('x\r\n.\r\n').codes()).toEqual(['550 5.7.1']);
      expect(peer.session.transaction).toBeNull();
    }
    expect(peer.queued).toEqual([]);
  });
});

describe('the mask of askable places', () => {
  const everything = Object.values(askBits).reduce((mask, bit) => mask | bit, 0);
  const session =
    'EHLO t\r\nNOOP x\r\nVRFY y\r\nHELP\r\nEXPN l\r\nMAIL FROM:<a@x.test> SIZE=5\r\nRCPT TO:<b@ok.test>\r\nRSET\r\nHELO u\r\nMAIL FROM:<>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n';
  const body = 'Subject: t\r\n\r\nbody\r\n.\r\nQUIT\r\n';

  test('unset: only what is always asked', () => {
    const peer = new Peer().start().send(session).send(body);
    expect(kinds(peer)).toEqual(['recipient', 'recipient', 'message-end']);
  });

  test.each(manners.map((manner) => [describeManner(manner), manner] as const))(
    'all set: everywhere, and the replies stay the same (%s)',
    (_, manner) => {
      const asked = new Peer({ ...options, ask: { mask: everything } }, manner)
        .start()
        .send(session)
        .send(body);
      const silent = new Peer(undefined, manner).start().send(session).send(body);
      expect(kinds(asked)).toEqual([
        'connect',
        'EHLO',
        'NOOP',
        'VRFY',
        'HELP',
        'EXPN',
        'mail',
        'recipient',
        'RSET',
        'HELO',
        'mail',
        'recipient',
        'DATA',
        'header-end',
        'message-end',
        'QUIT',
      ]);
      expect(asked.questions[2]).toEqual({ kind: 'verb', verb: 'NOOP', argument: 'x' });
      expect(asked.questions[6]).toMatchObject({
        kind: 'mail',
        reversePath: { address: 'a@x.test' },
        parameters: { sizeBytes: 5 },
      });
      expect(asked.codes()).toEqual(silent.codes());
      expect(asked.queued).toEqual(silent.queued);
    },
  );

  test('it is read at each command: a hook may come and go', () => {
    const ask = { mask: 0 };
    const peer = new Peer({ ...options, ask }).start().send('NOOP\r\n');
    ask.mask = askBits.NOOP;
    peer.send('NOOP\r\n');
    ask.mask = 0;
    peer.send('NOOP\r\n');
    expect(kinds(peer)).toEqual(['NOOP']);
  });

  test('a question about AUTH does not show the password', () => {
    const peer = new Peer({
      ...options,
      secure: true,
      mechanisms: ['PLAIN'],
      ask: { mask: askBits.AUTH },
    }).start();
    peer.send('EHLO t\r\nAUTH PLAIN AHUAcA==\r\n');
    expect(peer.questions).toMatchObject([
      { kind: 'verb', verb: 'AUTH', argument: 'PLAIN' },
      { kind: 'credentials', password: 'p' },
    ]);
    expect(peer.session.user).toBe('u');
  });

  test('a verb that is refused does nothing', () => {
    const decide = except('verb', { ok: false, reply: replies.refused });
    const peer = new Peer(
      { ...options, ask: { mask: askBits.EHLO | askBits.DATA } },
      undefined,
      decide,
    ).start();
    expect(peer.send('EHLO t\r\nMAIL FROM:<a@x.test>\r\n').codes()).toEqual([
      '220',
      '550 5.7.1',
      '503 5.5.1',
    ]);
    expect(peer.session.heloName).toBe('');
  });

  test('a reply in the verdict replaces the usual one', () => {
    const decide = except('verb', { ok: true, reply: queuedAs('other words') });
    const peer = new Peer({ ...options, ask: { mask: askBits.NOOP } }, undefined, decide)
      .start()
      .send('NOOP\r\n');
    expect(peer.replies.at(-1)?.reply.bytes.toString()).toContain('other words');
  });

  test('C-028: a refused greeting leaves QUIT alone', () => {
    const decide = except('connect', { ok: false, reply: replies.noService });
    const peer = new Peer({ ...options, ask: { mask: askBits.CONNECT } }, undefined, decide).start();
    expect(peer.codes()).toEqual(['554 5.7.1']);
    expect(peer.send('NOOP\r\nEHLO t\r\nFOO\r\n').codes()).toEqual(['503 5.5.1', '503 5.5.1', '503 5.5.1']);
    expect(peer.send('QUIT\r\n').codes()).toEqual(['221 2.0.0']);
  });

  test('A-040: bytes before the greeting wait for it', () => {
    const peer = new Peer({ ...options, ask: { mask: askBits.CONNECT } });
    let connect: Question | undefined;
    peer.ask = (question) => (connect = question);
    peer.session.start(peer);
    peer.session.feed(Buffer.from('EHLO t\r\n'), peer);
    expect(peer.codes()).toEqual([]);
    expect(connect).toEqual({ kind: 'connect' });
    peer.session.answer({ ok: true }, peer);
    expect(peer.codes()).toEqual(['220', '250']);
  });
});

describe('header-end', () => {
  const asking: SessionOptions = { ...options, ask: { mask: askBits.HEADER_END } };

  test.each(manners.map((manner) => [describeManner(manner), manner] as const))(
    'comes when exactly the header was handed on (%s)',
    (_, manner) => {
      let seen = '';
      let atHeaderEnd = '';
      const peer: Peer = new Peer(asking, manner, (question) => {
        if (question.kind === 'header-end') atHeaderEnd = seen;
        return policy(question);
      });
      const keep = peer.body.bind(peer);
      peer.body = (slice) => {
        seen += slice.toString('latin1');
        keep(slice);
      };
      peer.start().send(envelope).send('A: b\r\n..c: d\r\n\r\n..body\r\n\r\nmore\r\n.\r\n');
      expect(atHeaderEnd).toBe('A: b\r\n.c: d\r\n\r\n');
      expect(seen).toBe('A: b\r\n.c: d\r\n\r\n.body\r\n\r\nmore\r\n');
      expect(peer.codes().at(-1)).toBe('250 2.0.0');
    },
  );

  test.each(manners.map((manner) => [describeManner(manner), manner] as const))(
    'C-073: refused: the body is dropped, the reply comes at its end (%s)',
    (_, manner) => {
      const decide = except('header-end', { ok: false, reply: replies.refused });
      const peer = new Peer(asking, manner, decide).start().send(envelope);
      peer.codes();
      peer.send('A: b\r\n\r\nbody\nbad\r\n');
      expect(peer.codes()).toEqual([]);
      expect(peer.abandoned).toEqual(['refused']);
      expect(peer.send('.\r\nNOOP\r\n').codes()).toEqual(['550 5.7.1', '250 2.0.0']);
    },
  );

  test('a message that is nothing but a header is asked about too', () => {
    const peer = new Peer(asking).start().send(envelope).send('A: b\r\n.\r\n');
    expect(peer.questions.map(({ kind }) => kind)).toEqual(['recipient', 'header-end', 'message-end']);
  });

  test('close with the refusal closes after the reply', () => {
    const decide = except('header-end', { ok: false, reply: replies.refused, close: true });
    const peer = new Peer(asking, undefined, decide).start().send(envelope).send('A: b\r\n\r\n');
    expect(peer.closed).toBeUndefined();
    peer.send('.\r\n');
    expect(peer.codes().at(-1)).toBe('550 5.7.1');
    expect(peer.closed).toBe('refused');
  });

  test('a defect behind the header does not keep the question away', () => {
    const peer = new Peer(asking).start().send(envelope).send('A: b\r\n\r\nbad\0\r\n.\r\n');
    expect(peer.questions.map(({ kind }) => kind)).toEqual(['recipient', 'header-end']);
    expect(peer.codes().at(-1)).toBe('550 5.6.0');
    expect(peer.abandoned).toEqual(['nul']);
  });
});

describe('the end', () => {
  test('the peer goes while a message of a header alone is asked about: abandoned', () => {
    const peer = new Peer({ ...options, ask: { mask: askBits.HEADER_END } }).start().send(envelope);
    peer.ask = () => undefined;
    peer.send('A: b\r\n.\r\n');
    expect(peer.session.suspended).toBe(true);
    peer.session.end(peer);
    expect(peer.abandoned).toEqual(['cut']);
  });

  test('C-025: the peer goes in the middle of a message: abandoned, nothing said', () => {
    const peer = new Peer().start().send(envelope).send('half a');
    peer.codes();
    peer.session.end(peer);
    expect(peer.abandoned).toEqual(['cut']);
    expect(peer.codes()).toEqual([]);
    expect(peer.session.transaction).toBeNull();
  });

  test.each([
    ['timeout', '421 4.4.2'],
    ['shutdown', '421 4.3.2'],
    ['reload', '421 4.3.2'],
  ] as const)('C-026 C-027: cut for %s says %s and abandons what is open', (reason, code) => {
    const peer = new Peer().start().send(envelope).send('half a');
    peer.codes();
    peer.session.cut(reason, peer);
    expect(peer.codes()).toEqual([code]);
    expect(peer.abandoned).toEqual(['cut']);
    expect(peer.closed).toBe(reason);
    peer.session.feed(Buffer.from('NOOP\r\n'), peer);
    peer.session.cut(reason, peer);
    expect(peer.codes()).toEqual([]);
  });

  test('a message that is already refused is not abandoned twice', () => {
    const peer = new Peer().start().send(envelope).send('bad\0');
    peer.session.end(peer);
    expect(peer.abandoned).toEqual(['nul']);
  });

  test("a message whose end was asked is the caller's: cut leaves it alone", () => {
    const peer = new Peer().start().send(envelope);
    peer.ask = () => undefined;
    peer.send('x\r\n.\r\n');
    peer.session.cut('shutdown', peer);
    expect(peer.abandoned).toEqual([]);
  });
});

test('deadlines are named for what is awaited', () => {
  const peer = new Peer({ ...options, secure: true, mechanisms: ['LOGIN'] }).start();
  expect(peer.session.deadline).toBe('greeting');
  peer.send('EHLO t\r\n');
  expect(peer.session.deadline).toBe('command');
  peer.send('AUTH LOGIN\r\n');
  expect(peer.session.deadline).toBe('auth');
  peer.send('*\r\nMAIL FROM:<>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n');
  expect(peer.session.deadline).toBe('data');
  expect(peer.session.inData).toBe(true);
  peer.send('.\r\nQUIT\r\n');
  expect(peer.session.deadline).toBe('none');
});

test('transactions are numbered from 1', () => {
  const peer = new Peer().start().send('EHLO t\r\nMAIL FROM:<a@x.test>\r\n');
  expect(peer.session.transaction?.number).toBe(1);
  peer.send('RSET\r\nMAIL FROM:bad\r\nMAIL FROM:<b@x.test>\r\n');
  expect(peer.session.transaction?.number).toBe(2);
});

test('A-062: a million RCPTs beyond the limit end in 421, and none is stored', () => {
  const peer = new Peer({ ...options, limits: { ...limits, recipients: 1 } }).start();
  peer.send(`EHLO t\r\nMAIL FROM:<a@x.test>\r\n${'RCPT TO:<b@ok.test>\r\n'.repeat(2000)}`);
  const codes = peer.codes();
  expect(codes.filter((code) => code === '452 4.5.3')).toHaveLength(1010);
  expect(codes.at(-1)).toBe('421 4.7.0');
  expect(peer.closed).toBe('errors');
});

test('A-060: ten MiB without a line end as body are passed on piece by piece, or refused, never gathered', () => {
  const chunk = Buffer.alloc(65_536, 'x');
  const peer = new Peer().start().send(envelope);
  for (let n = 0; n < 160; n++) peer.session.feed(chunk, peer);
  expect(peer.abandoned).toEqual(['too-large']);
  expect(peer.send('\r\n.\r\n').codes().at(-1)).toBe('550 5.6.0');
});

test('a chunk of body is handed on as it is: no copy, no slice', () => {
  const peer = new Peer().start().send(envelope);
  const chunk = Buffer.from('A: b\r\n\r\nbody\r\n');
  let handed: Buffer | undefined;
  peer.body = (slice) => (handed = slice);
  peer.session.feed(chunk, peer);
  expect(handed).toBe(chunk);
});

test('C-120: 454 is our trouble, and no failure of the client', () => {
  const secure: SessionOptions = { ...options, secure: true, mechanisms: ['PLAIN'] };
  const peer = new Peer(
    secure,
    undefined,
    except('credentials', { ok: false, reply: replies.authUnavailable }),
  ).start();
  peer.send('EHLO t\r\n').codes();
  expect(peer.send('AUTH PLAIN AHUAcA==\r\n'.repeat(7)).codes()).toEqual(
    Array.from({ length: 7 }, () => '454 4.7.0'),
  );
  expect(peer.closed).toBeUndefined();
});
