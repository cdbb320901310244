import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { hopName } from '../../src/relay/hop-connection.js';
import { RelayRig, fakeHop, lmtp, routeTo, smtp, told, until } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const tls = {
  key: readFileSync('test/support/tls/localhost.key'),
  cert: readFileSync('test/support/tls/localhost.crt'),
};

const drip = ({ socket }: { socket: { write(text: string): unknown; destroyed: boolean } }): undefined => {
  const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write('2')), 20);
};

describe('the greeting', () => {
  it('says EHLO with our name, then sends', async () => {
    const hop = await fakeHop();
    await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(hop.commands[0]).toBe('EHLO mx.example.org');
  });

  it('falls back to HELO where EHLO is not known, without extensions (RFC 5321 §3.2)', async () => {
    const hop = await fakeHop({ answers: { EHLO: '502 5.5.1 what' } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.commands.slice(0, 3)).toEqual([
      'EHLO mx.example.org',
      'HELO mx.example.org',
      'MAIL FROM:<sender@example.org>',
    ]);
  });

  it('LMTP says LHLO and knows nothing older (RFC 2033 §4.1)', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', answers: { LHLO: '500 what' } });
    const settlement = await new RelayRig(routeTo([lmtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual(['pending LHLO: 500 what']);
    expect(hop.commands).toEqual(['LHLO mx.example.org']);
  });

  it.each([
    ['greeting', '554 5.3.2 go away', 'pending greeting: 554 5.3.2 go away'],
    ['greeting', '421 4.3.2 later', 'pending greeting: 421 4.3.2 later'],
    ['greeting', '250 hello', 'pending greeting: 250 hello'],
    ['EHLO', '421 4.3.2 later', 'pending EHLO: 421 4.3.2 later'],
    ['EHLO', '550-a\r\n250 b', 'pending a reply changes its code half-way'],
  ] as const)('%s answered %j: the hop is not used, the mail stays', async (phase, reply, result) => {
    const hop = await fakeHop({ answers: { [phase]: reply } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    expect(told(await rig.deliver(body))).toEqual([result]);
    expect(rig.events('relay.hop-down')).toHaveLength(1);
    await until(() => hop.open === 0, 'the connection ends');
  });

  it.each([
    ['5000 keywords', Array.from({ length: 5000 }, (_, i) => `X${i}`)],
    ['names of object properties', ['__proto__', 'constructor', 'toString']],
    ['a SIZE of 20 digits and one of none', ['SIZE 99999999999999999999', 'SIZE']],
    ['lower case', ['pipelining', '8bitmime']],
  ])('A-141: EHLO with %s', async (_name, extensions) => {
    const hop = await fakeHop({ extensions });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual(['delivered 250 2.0.0 taken']);
  });

  it('F-23: a hop that never greets frees the lane at the time-out', async () => {
    const hop = await fakeHop({ answers: { greeting: () => undefined } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { timeouts: { greeting: 50 } });
    expect(told(await rig.deliver(body))).toEqual(['pending no reply to the connection within 1 s']);
    await until(() => hop.open === 0, 'the connection ends');
  });

  it('A-140: a greeting that drips is bound by the whole, not by its bytes', async () => {
    const hop = await fakeHop({ answers: { greeting: drip } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { timeouts: { greeting: 200 } });
    expect(told(await rig.deliver(body))).toEqual(['pending no reply to the connection within 1 s']);
  });
});

describe('STARTTLS', () => {
  it('opportunistic: is used where offered, and EHLO is said again inside (RFC 3207 §4.2)', async () => {
    const hop = await fakeHop({ tls });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { tls: 'opportunistic' }));
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.messages[0]?.secure).toBe(true);
    expect(rig.events('relay.delivered')).toMatchObject([{ tls: 'TLSv1.3' }]);
    expect(hop.commands.slice(0, 3)).toEqual(['EHLO mx.example.org', 'STARTTLS', 'EHLO mx.example.org']);
  });

  it('works for LMTP and with a host name', async () => {
    const hop = await fakeHop({ tls, protocol: 'lmtp' });
    const route = routeTo([{ kind: 'lmtp', host: 'localhost', port: hop.port, priority: 0, weight: 1 }], {
      tls: 'required',
    });
    expect(told(await new RelayRig(route).deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.messages[0]?.secure).toBe(true);
  });

  it('A-143: a self-signed certificate is used and told to the log', async () => {
    const hop = await fakeHop({ tls });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { tls: 'opportunistic' }));
    await rig.deliver(body);
    expect(rig.events('relay.connected')).toMatchObject([
      { secure: true, certificate: expect.stringMatching(/^(DEPTH_ZERO_)?SELF_SIGNED_CERT/) },
    ]);
  });

  it('off: is not used where offered', async () => {
    const hop = await fakeHop({ tls });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { tls: 'off' }));
    await rig.deliver(body);
    expect(hop.messages[0]?.secure).toBe(false);
    expect(rig.events('relay.delivered')).toMatchObject([{ tls: 'none' }]);
  });

  it('opportunistic: a hop without it gets the mail in clear', async () => {
    const hop = await fakeHop();
    await new RelayRig(routeTo([smtp(hop.port)], { tls: 'opportunistic' })).deliver(body);
    expect(hop.messages[0]?.secure).toBe(false);
  });

  it('opportunistic: so does one that refuses it, on the same connection', async () => {
    const hop = await fakeHop({ tls, answers: { STARTTLS: '454 4.7.0 no' } });
    await new RelayRig(routeTo([smtp(hop.port)], { tls: 'opportunistic' })).deliver(body);
    expect(hop.messages[0]).toMatchObject({ secure: false, connection: 1 });
  });

  it('opportunistic: and one whose handshake fails, on a new connection, with a line in the log', async () => {
    const hop = await fakeHop({ extensions: ['STARTTLS'], answers: { STARTTLS: cutAfter('220 go') } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { tls: 'opportunistic' }));
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.messages[0]).toMatchObject({ secure: false, connection: 2 });
    expect(rig.events('relay.tls-failed')).toHaveLength(1);
  });

  it('A-028: required and stripped from EHLO: deferred, never in clear', async () => {
    const hop = await fakeHop();
    const settlement = await new RelayRig(routeTo([smtp(hop.port)], { tls: 'required' })).deliver(body);
    expect(told(settlement)[0]).toMatch(/^pending 4\.7\.4 the hop does not offer STARTTLS/);
    expect(hop.commands).toEqual(['EHLO mx.example.org']);
  });

  it.each([['454 4.7.0 no'], ['500 what'], ['421 bye']])(
    'A-028: required and refused with %s: deferred',
    async (said) => {
      const hop = await fakeHop({ tls, answers: { STARTTLS: said } });
      const settlement = await new RelayRig(routeTo([smtp(hop.port)], { tls: 'required' })).deliver(body);
      expect(told(settlement)).toEqual([`pending STARTTLS: ${said}`]);
      expect(hop.commands.some((line) => line.startsWith('MAIL'))).toBe(false);
    },
  );

  it('required and a broken handshake: deferred', async () => {
    const hop = await fakeHop({ extensions: ['STARTTLS'], answers: { STARTTLS: cutAfter('220 go') } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { tls: 'required' }));
    expect((await rig.deliver(body)).results[0]?.state).toBe('pending');
    expect(hop.connections).toBe(1);
  });

  it.each([
    ['a whole reply', '220 ok\r\n250-injected'],
    ['a complete one', '220 ok\r\n250 injected'],
    ['nonsense', '220 ok\r\n2'],
  ])('A-028: plaintext behind the 220 (%s): aborted, retried later, nothing sent', async (_name, said) => {
    for (const mode of ['opportunistic', 'required'] as const) {
      const hop = await fakeHop({
        tls,
        answers: { STARTTLS: ({ socket }) => void socket.write(`${said}\r\n`) },
      });
      const settlement = await new RelayRig(routeTo([smtp(hop.port)], { tls: mode })).deliver(body);
      expect(told(settlement)[0]).toMatch(
        /^pending (plaintext behind|unexpected reply: 250 injected|a reply has no code)/,
      );
      expect([hop.connections, hop.messages.length]).toEqual([1, 0]);
    }
  });

  it('a handshake that never ends is bound', async () => {
    const hop = await fakeHop({ extensions: ['STARTTLS'], answers: { STARTTLS: '220 go' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)], { tls: 'required' }), { timeouts: { startTls: 100 } });
    expect((await rig.deliver(body)).results[0]?.state).toBe('pending');
  });
});

it('an IPv6 hop is named with brackets', () => {
  expect(hopName({ host: '2001:db8::1', port: 25 })).toBe('[2001:db8::1]:25');
});

function cutAfter(said: string) {
  return ({ socket }: { socket: { end(text: string): unknown } }): undefined => {
    socket.end(`${said}\r\n`);
  };
}
