import { describe, expect, test } from 'vitest';

import type { Session } from '../../src/protocol/session.js';
import { replies } from '../../src/protocol/replies.js';
import { askBits, type Question, type SessionOptions } from '../../src/protocol/types.js';
import { limits, options, Peer } from './harness.js';

/** Answers nothing of what asks for time, until the test does. */
class PatientPeer extends Peer {
  pauses = 0;

  override ask(question: Question): void {
    if (question.kind === 'pause') this.pauses++;
    else super.ask(question);
  }

  timePasses(): void {
    this.session.answer({ ok: true }, this);
  }
}

function peerOf(over: Partial<SessionOptions['limits']>): PatientPeer {
  return new PatientPeer({ ...options, limits: { ...limits, ...over } });
}

describe('A-046 soft errors hold the client up', () => {
  test('up to softErrors at once; then each is answered, and what follows waits for its time', () => {
    const peer = peerOf({ softErrors: 2, errors: 5 }).start();
    peer.send('FOO\r\nFOO\r\nFOO\r\nNOOP\r\nFOO\r\nFOO\r\n');
    expect(peer.codes()).toEqual(['220', '500 5.5.2', '500 5.5.2', '500 5.5.2']);
    expect([peer.pauses, peer.session.suspended, peer.session.deadline]).toEqual([1, true, 'none']);
    peer.timePasses();
    expect(peer.codes()).toEqual(['250 2.0.0', '500 5.5.2']);
    expect(peer.pauses).toBe(2);
    peer.timePasses();
    expect(peer.codes()).toEqual(['500 5.5.2', '421 4.7.0']);
    expect([peer.pauses, peer.closed]).toEqual([2, 'errors']);
  });

  test('A-121: who asks for one unknown recipient after another is held up, then sent away', () => {
    const peer = peerOf({ softErrors: 1, errors: 3 }).start();
    const guesses = ['a', 'b', 'c', 'd'].map((name) => `RCPT TO:<${name}@unknown.test>\r\n`);
    peer.send(`EHLO t\r\nMAIL FROM:<x@x.test>\r\n${guesses.join('')}`);
    expect(peer.codes().slice(3)).toEqual(['550 5.7.1', '550 5.7.1']);
    peer.timePasses();
    expect(peer.codes()).toEqual(['550 5.7.1', '421 4.7.0']);
  });

  test('a refused message holds the client up behind its reply, with nothing of it left', () => {
    const peer = peerOf({ softErrors: 0 }).start();
    peer.send('EHLO t\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n');
    peer.send('bare\nnewline\r\n.\r\nMAIL FROM:<a@x.test>\r\n');
    expect(peer.codes().at(-1)).toBe('550 5.6.0');
    expect([peer.session.suspended, peer.session.transaction]).toEqual([true, null]);
    peer.timePasses();
    expect(peer.codes()).toEqual(['250 2.1.0']);
  });

  test('time that passes for a session that has ended meanwhile changes nothing', () => {
    const peer = peerOf({ softErrors: 0 }).start();
    peer.send('FOO\r\n');
    peer.session.cut('shutdown', peer);
    peer.timePasses();
    expect(peer.codes()).toEqual(['220', '500 5.5.2', '421 4.3.2']);
  });
});

test('under stress a session that began without has less patience at once', () => {
  const patience = { limits };
  const peer = new Peer({ ...options, patience }).start();
  peer.send('FOO\r\nFOO\r\n');
  expect(peer.closed).toBeUndefined();
  patience.limits = { ...limits, errors: 1 };
  peer.send('FOO\r\n');
  expect(peer.codes().at(-1)).toBe('421 4.7.0');
  expect(peer.closed).toBe('errors');
});

/** A server without room. */
class FullPeer extends Peer {
  override ask(question: Question): void {
    if (question.kind !== 'mail') super.ask(question);
    else this.session.answer({ ok: false, reply: replies.insufficientStorage }, this);
  }
}

describe('a trouble of ours', () => {
  const over = { ...options, ask: { mask: askBits.MAIL }, limits: { ...limits, errors: 3 } };

  test('is no error of the client, nor is what it pipelined behind MAIL', () => {
    const peer = new FullPeer(over).start();
    peer.send('EHLO t\r\n');
    for (let tried = 0; tried < 5; tried++)
      peer.send('MAIL FROM:<a@x.test>\r\nRCPT TO:<b@ok.test>\r\nDATA\r\n');
    expect(peer.codes().slice(2, 5)).toEqual(['452 4.3.1', '503 5.5.1', '503 5.5.1']);
    expect(peer.closed).toBeUndefined();
  });

  test('does not excuse for ever, nor anything else', () => {
    const peer = new FullPeer(over).start();
    peer.send('EHLO t\r\n');
    for (let tried = 0; tried < 1_003; tried++) peer.send('MAIL FROM:<a@x.test>\r\n');
    expect(peer.closed).toBe('errors');
    const other = new FullPeer(over).start();
    other.send('EHLO t\r\nMAIL FROM:<a@x.test>\r\nFOO\r\nFOO\r\nFOO\r\n');
    expect(other.closed).toBe('errors');
  });
});

function teased(): PatientPeer {
  const peer = new PatientPeer(options);
  peer.session.start(peer, true);
  return peer;
}

describe('A-040 the greeting with a delay', () => {
  test('its first line looks like a greeting, its last line comes when time has passed', () => {
    const peer = teased();
    expect(texts(peer)).toEqual(['220-mx.test ESMTP Postern\r\n']);
    expect(reading(peer.session)).toEqual({ suspended: false, deadline: 'greeting' });
    peer.timePasses();
    expect(texts(peer)).toEqual(['220 mx.test ESMTP Postern\r\n']);
    peer.send('EHLO t\r\n');
    expect(peer.codes()).toEqual(['250']);
  });

  test.each(['EHLO t\r\n', 'E', '\r\n', '\x16\x03\x01'])(
    'who says %j before its end gets 554, nothing more and no second chance',
    (bytes) => {
      const peer = teased();
      peer.send(bytes);
      expect(peer.codes()).toEqual(['220', '554 5.5.0']);
      expect(peer.closed).toBe('early-talk');
      peer.timePasses();
      peer.send('QUIT\r\n');
      expect(peer.codes()).toEqual([]);
    },
  );

  test('who is asked about at connect is asked about after it', () => {
    const peer = new PatientPeer({ ...options, ask: { mask: 1 } });
    peer.session.start(peer, true);
    expect(peer.questions).toEqual([]);
    peer.timePasses();
    expect(peer.questions.map(({ kind }) => kind)).toEqual(['connect']);
    expect(texts(peer).at(-1)).toBe('220 mx.test ESMTP Postern\r\n');
  });
});

function texts(peer: Peer): string[] {
  return peer.replies.splice(0).map(({ reply }) => reply.bytes.toString('latin1'));
}

function reading({ suspended, deadline }: Session): object {
  return { suspended, deadline };
}
