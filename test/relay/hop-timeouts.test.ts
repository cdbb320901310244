import { describe, expect, it } from 'vitest';

import { hopTimeoutsMs, hopTimeoutsOf } from '../../src/relay/hop-timeouts.js';
import type { Answer, FakeHopOptions } from '../support/fake-hop.js';
import { RelayRig, fakeHop, routeTo, smtp, told } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const silent = (): undefined => undefined;
/** One byte of a reply at a time, for ever. */
const drip: Answer = ({ socket }) => {
  let sent = 0;
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else socket.write(sent++ === 0 ? '2' : '5');
  }, 10);
  return undefined;
};

describe('time-outs of a hop', () => {
  it('C-074: the defaults are at least those of RFC 5321 §4.5.3.2', () => {
    const minute = 60_000;
    expect(hopTimeoutsOf({})).toEqual(hopTimeoutsMs);
    expect(hopTimeoutsOf({})).toMatchObject({
      greeting: 5 * minute,
      mail: 5 * minute,
      recipient: 5 * minute,
      data: 2 * minute,
      block: 3 * minute,
      end: 10 * minute,
    });
  });

  it("a route's own count, each for its phases", () => {
    const own = { connect: 1, greeting: 2, command: 3, data: 4, end: 5 };
    expect(hopTimeoutsOf(own)).toEqual({
      connect: 1,
      greeting: 2,
      hello: 3,
      startTls: 3,
      mail: 3,
      recipient: 3,
      data: 4,
      block: 4,
      end: 5,
      quit: hopTimeoutsMs.quit,
      transaction: hopTimeoutsMs.transaction,
    });
    expect(hopTimeoutsOf({ end: 5 })).toEqual({ ...hopTimeoutsMs, end: 5 });
  });
});

/** Name, what the hop does, which of the route's time-outs ends it, what is waited for. */
const stalls: readonly [string, FakeHopOptions, 'greeting' | 'command' | 'data' | 'end', string][] = [
  ['the greeting', { answers: { greeting: silent } }, 'greeting', 'no reply to the connection'],
  ['EHLO', { answers: { EHLO: silent } }, 'command', 'no reply to EHLO'],
  [
    'STARTTLS',
    { extensions: ['STARTTLS'], answers: { STARTTLS: silent } },
    'command',
    'no reply to STARTTLS',
  ],
  ['the handshake', { extensions: ['STARTTLS'], answers: { STARTTLS: '220 go' } }, 'command', 'no TLS'],
  ['MAIL', { extensions: [], answers: { MAIL: silent } }, 'command', 'no reply to MAIL'],
  ['RCPT', { extensions: [], answers: { RCPT: silent } }, 'command', 'no reply to RCPT'],
  ['DATA', { answers: { DATA: silent } }, 'data', 'no reply to DATA'],
  ['the content', { deafBody: true }, 'data', 'no data taken'],
  ['the final dot', { answers: { end: silent } }, 'end', 'no reply to the final dot'],
  ['BDAT', { extensions: ['CHUNKING'], answers: { end: silent } }, 'end', 'no reply to BDAT'],
];

describe.each(stalls)('C-074: a hop that stalls at %s', (name, options, timeout, waited) => {
  it('is given up at the time-out of that phase, and the mail waits', async () => {
    const hop = await fakeHop(options);
    const route = routeTo([smtp(hop.port)], { tls: 'required', timeouts: { [timeout]: 150 } });
    const tls = ['STARTTLS', 'the handshake'].includes(name) ? route.tls : 'off';
    const rig = new RelayRig({ ...route, tls });
    const content = name === 'the content' ? Buffer.alloc(30_000_000, 'x') : body;
    expect(told(await rig.deliver(content))).toEqual([`pending ${waited} within 1 s`]);
    expect(rig.ambiguous.value).toBe(timeout === 'end' ? 1 : 0);
    expect(hop.messages).toEqual([]);
  });
});

describe.each(['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'end'] as const)(
  'F-29: one byte at a time to %s',
  (phase) => {
    it('is bound by the whole reply, not by its bytes', async () => {
      const hop = await fakeHop({ extensions: [], answers: { [phase]: drip } });
      const timeouts = { greeting: 200, command: 200, data: 200, end: 200 };
      const rig = new RelayRig(routeTo([smtp(hop.port)], { timeouts }));
      expect(told(await rig.deliver(body))[0]).toMatch(/^pending no reply to .* within 1 s$/);
      expect(hop.messages).toEqual([]);
    });
  },
);
