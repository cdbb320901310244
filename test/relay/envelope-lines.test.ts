import { describe, expect, it } from 'vitest';

import type { NewEnvelope, NewRecipient } from '../../src/queue/spool.js';
import { RelayRig, fakeHop, lmtp, routeTo, smtp, told } from './relay-rig.js';

const text = 'Subject: x\r\n\r\ntext\r\n';
const base = ['PIPELINING', '8BITMIME'];
const delivered = 'delivered 250 2.0.0 taken';

interface Sent {
  readonly results: readonly string[];
  /** MAIL and RCPT as the hop saw them. */
  readonly lines: readonly string[];
}

async function send(
  extensions: readonly string[],
  envelope: Omit<Partial<NewEnvelope>, 'recipients'> = {},
  recipients: readonly Omit<NewRecipient, 'route'>[] = [{ address: 'a@example.test' }],
): Promise<Sent> {
  const hop = await fakeHop({ extensions });
  const rig = new RelayRig(routeTo([smtp(hop.port)]));
  rig.spool.add(text, { ...envelope, recipients: recipients.map((each) => ({ ...each, route: 'out' })) });
  await rig.start().settled(1);
  const lines = hop.commands.filter((line) => /^(MAIL|RCPT)/.test(line));
  return { results: rig.spool.settlements.flatMap(told), lines };
}

describe('DSN parameters (RFC 3461)', () => {
  const envelope = { ret: 'HDRS', envelopeId: 'QQ+2B314159' } as const;
  const recipients = [
    {
      address: 'a@example.test',
      notify: ['SUCCESS', 'DELAY'],
      originalRecipient: 'rfc822;A+3Dx@Example.TEST',
    },
    { address: 'b@example.test', notify: [] },
    { address: 'c@example.test' },
  ] as const;

  it('C-124: a hop with DSN gets all of them as they were given, and none made up (§5.2.1)', async () => {
    expect(await send([...base, 'DSN'], envelope, recipients)).toEqual({
      results: [delivered, delivered, delivered],
      lines: [
        'MAIL FROM:<sender@example.org> RET=HDRS ENVID=QQ+2B314159',
        'RCPT TO:<a@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;A+3Dx@Example.TEST',
        'RCPT TO:<b@example.test> NOTIFY=NEVER',
        'RCPT TO:<c@example.test>',
      ],
    });
  });

  it('C-124: so does an LMTP hop, step by step', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', extensions: ['DSN'] });
    const rig = new RelayRig(routeTo([lmtp(hop.port)]));
    rig.spool.add(text, { ...envelope, recipients: recipients.map((each) => ({ ...each, route: 'out' })) });
    await rig.start().settled(1);
    expect(hop.commands).toContain('RCPT TO:<b@example.test> NOTIFY=NEVER');
    expect(hop.commands).toContain('MAIL FROM:<sender@example.org> RET=HDRS ENVID=QQ+2B314159');
  });

  it('C-125: a hop without DSN gets none (§5.2.2)', async () => {
    expect((await send(base, envelope, recipients)).lines).toEqual([
      'MAIL FROM:<sender@example.org>',
      'RCPT TO:<a@example.test>',
      'RCPT TO:<b@example.test>',
      'RCPT TO:<c@example.test>',
    ]);
  });

  it('a message without any is sent without any', async () => {
    expect((await send([...base, 'DSN'])).lines).toEqual([
      'MAIL FROM:<sender@example.org>',
      'RCPT TO:<a@example.test>',
    ]);
  });
});

describe('SIZE (RFC 1870)', () => {
  it.each([
    [`SIZE ${text.length}`, delivered],
    ['SIZE 0', delivered],
    ['SIZE', delivered],
    [
      `SIZE ${text.length - 1}`,
      `failed 5.3.4 the message has ${text.length} bytes, the next hop takes at most ${text.length - 1}`,
    ],
  ])('%s: %s', async (size, result) => {
    const sent = await send([...base, size]);
    expect(sent.results).toEqual([result]);
    // What is too large is not even begun.
    expect(sent.lines.length).toBe(result === delivered ? 2 : 0);
  });

  it('A-141: a hop that says SIZE 10 costs no connection: the next message goes the same way', async () => {
    const hop = await fakeHop({ extensions: ['SIZE 10'] });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    for (let i = 0; i < 3; i++) expect(told(await rig.deliver(text))[0]).toMatch(/^failed 5\.3\.4 /);
    expect(told(await rig.deliver('x: y\r\n'))).toEqual([delivered]);
    expect(hop.connections).toBe(1);
  });
});

describe('UTF-8 addresses (RFC 6531)', () => {
  const noUtf8 = 'failed 5.6.7 the next hop does not support SMTPUTF8';

  it('C-102: only the recipient with one fails at a hop without SMTPUTF8; the others are sent', async () => {
    const sent = await send(base, {}, [{ address: 'jörg@example.test' }, { address: 'b@example.test' }]);
    expect(sent).toEqual({
      results: [noUtf8, delivered],
      lines: ['MAIL FROM:<sender@example.org>', 'RCPT TO:<b@example.test>'],
    });
  });

  it('C-102: with nobody else there is nothing to send', async () => {
    expect(await send(base, {}, [{ address: 'jörg@example.test' }])).toEqual({
      results: [noUtf8],
      lines: [],
    });
  });

  it('C-102: a sender with one fails for all', async () => {
    expect(await send(base, { reversePath: 'é@example.org' })).toEqual({ results: [noUtf8], lines: [] });
  });

  it('C-080: a hop with SMTPUTF8 gets them as they are, and the parameter although nobody declared it', async () => {
    expect(await send([...base, 'SMTPUTF8'], {}, [{ address: 'jörg@bücher.test' }])).toEqual({
      results: [delivered],
      lines: ['MAIL FROM:<sender@example.org> SMTPUTF8', 'RCPT TO:<jörg@bücher.test>'],
    });
  });
});
