/** What XFORWARD leaves with which transaction, and what XCLIENT asks and changes: what a transcript cannot see. */
import { expect, test } from 'vitest';
import type { Question, Verdict } from '../../src/protocol/types.js';
import { options, Peer, policy } from './harness.js';

const trusted = { ...options, mayNameClients: true };

function forwardedOf(peer: Peer): unknown {
  return peer.session.transaction?.forwarded;
}

test('A-113: what XFORWARD said is the next transaction’s alone', () => {
  const peer = new Peer(trusted).start();
  peer.send('EHLO t\r\nXFORWARD NAME=a.test ADDR=192.0.2.1\r\nXFORWARD NAME=b.test HELO=[UNAVAILABLE]\r\n');
  peer.send('MAIL FROM:<a@x.test>\r\n');
  expect(forwardedOf(peer)).toEqual({ name: 'b.test', addr: '192.0.2.1', helo: null });
  peer.send('RSET\r\nMAIL FROM:<a@x.test>\r\n');
  expect(forwardedOf(peer)).toBeUndefined();
});

test.each(['RSET', 'EHLO t', 'HELO t'])('%s forgets what XFORWARD said', (command) => {
  const peer = new Peer(trusted).start();
  peer.send(`EHLO t\r\nXFORWARD NAME=a.test\r\n${command}\r\nMAIL FROM:<a@x.test>\r\n`);
  expect(peer.session.transaction).not.toBeNull();
  expect(forwardedOf(peer)).toBeUndefined();
});

test('a MAIL that is refused leaves it for the next', () => {
  const peer = new Peer(trusted).start();
  peer.send('EHLO t\r\nXFORWARD NAME=a.test\r\nMAIL FROM:<a@\r\nMAIL FROM:<a@x.test>\r\n');
  expect(forwardedOf(peer)).toEqual({ name: 'a.test' });
});

test('XCLIENT leaves nothing of the client before: name, login, transaction, what was forwarded', () => {
  const peer = new Peer({ ...trusted, secure: true, mechanisms: ['PLAIN'] }).start();
  peer.send('EHLO t\r\nAUTH PLAIN AHUAcA==\r\nXFORWARD NAME=a.test\r\n');
  expect(peer.session.user).toBe('u');
  peer.send('XCLIENT ADDR=127.0.0.9\r\n');
  expect(peer.session.user).toBe('');
  expect(peer.session.heloName).toBe('');
  expect(peer.session.extended).toBe(false);
  peer.send('EHLO t\r\nMAIL FROM:<a@x.test>\r\n');
  expect(forwardedOf(peer)).toBeUndefined();
});

test('what this XCLIENT says of HELO and PROTO holds until the client greets itself', () => {
  const peer = new Peer(trusted).start();
  peer.send('XCLIENT HELO=h.test PROTO=ESMTP\r\n');
  expect([peer.session.heloName, peer.session.extended]).toEqual(['h.test', true]);
  peer.send('HELO own.test\r\n');
  expect([peer.session.heloName, peer.session.extended]).toEqual(['own.test', false]);
});

test('a client that may not in is told so, and the session ends', () => {
  const peer = new Peer(trusted).start();
  peer.codes();
  peer.send('EHLO t\r\nXCLIENT ADDR=192.0.2.66\r\nEHLO t\r\n');
  expect(peer.codes()).toEqual(['250', '421 4.7.0']);
  expect(peer.closed).toBe('refused');
});

test('who is asked at connect is asked again for the client that was named', () => {
  const asked: Question[] = [];
  const decide = (question: Question): Verdict => {
    asked.push(question);
    return policy(question);
  };
  const peer = new Peer({ ...trusted, ask: { mask: 1 } }, undefined, decide).start();
  peer.send('XCLIENT ADDR=127.0.0.9\r\n');
  expect(asked.map(({ kind }) => kind)).toEqual(['connect', 'xclient', 'connect']);
  expect(peer.codes()).toEqual(['220', '220']);
});

test('what was pipelined behind XCLIENT waits for the answer and is the new client’s', () => {
  const peer = new Peer(trusted, { answers: 'later', chunkBytes: 0 }).start();
  peer.codes();
  peer.send('XCLIENT ADDR=127.0.0.9\r\nEHLO t\r\nMAIL FROM:<a@x.test>\r\n');
  expect(peer.codes()).toEqual(['220', '250', '250 2.1.0']);
});
