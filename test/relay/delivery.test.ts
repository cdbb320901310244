import { describe, expect, it } from 'vitest';

import type { Answer, FakeHop, HopContext, Phase } from '../support/fake-hop.js';
import { RelayRig, fakeHop, lmtp, routeTo, smtp, told, until } from './relay-rig.js';

const body = 'Received: by mx\r\nSubject: x\r\n\r\n.dot\r\n..two\r\nend\r\n';
const withPipelining = ['PIPELINING', '8BITMIME', 'SIZE 99999999', 'SMTPUTF8'];
const withoutPipelining = ['8BITMIME', 'SIZE 99999999', 'SMTPUTF8'];
const modes = [
  ['DATA pipelined', withPipelining],
  ['DATA step by step', withoutPipelining],
  ['BDAT pipelined', [...withPipelining, 'CHUNKING']],
  ['BDAT step by step', [...withoutPipelining, 'CHUNKING']],
] as const;

const cut = ({ socket }: HopContext): undefined => {
  socket.destroy();
};

const bye = ({ socket }: HopContext): undefined => void socket.end('421 4.3.2 bye\r\n');

const silentToB = ({ line }: HopContext): string | undefined =>
  line.includes('b@') ? undefined : '550 5.1.1 no';

/** The usual answer where one is owed, and something else while the content is on its way. */
const meanwhile =
  (act: (socket: HopContext['socket']) => void) =>
  ({ socket, line }: HopContext): string | undefined => {
    setTimeout(() => act(socket), 50);
    return line === 'DATA' ? '354 go' : undefined;
  };

/** Answers LMTP's dot by the local part. */
const endByName: Answer = ({ line }) =>
  line.startsWith('full') ? '452 4.2.2 full' : line.startsWith('gone') ? '550 5.1.1 gone' : '250 2.0.0 ok';

const firstThenCut: Answer = ({ line, socket }) => {
  if (line.startsWith('a@')) return '250 2.0.0 ok';
  setTimeout(() => socket.destroy(), 50);
  return undefined;
};

/** Answers RCPT by the local part: `r550@…` gets 550. */
const byName: Answer = ({ line }) => {
  const code = /<r(\d{3})/.exec(line)?.[1] ?? '250';
  return `${code} ${code.charAt(0)}.1.1 said`;
};

describe.each(modes)('one transaction, %s', (mode, extensions) => {
  const chunking = mode.startsWith('BDAT');
  const phases = chunking ? (['MAIL', 'RCPT', 'end'] as const) : (['MAIL', 'RCPT', 'DATA', 'end'] as const);
  const isUsed = ([phase]: readonly [Phase, ...unknown[]]): boolean => !(chunking && phase === 'DATA');
  const end = chunking ? 'BDAT' : 'the final dot';
  /** A hop that reads nothing of a large content, and does this. */
  const inContent = (act: (socket: HopContext['socket']) => void): Promise<FakeHop> =>
    fakeHop({ extensions, answers: { [chunking ? 'BDAT' : 'DATA']: meanwhile(act) }, deafBody: true });
  const large = Buffer.alloc(20_000_000, 'x');

  it('brings the message byte for byte, with SIZE', async () => {
    const hop = await fakeHop({ extensions });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.messages[0]).toMatchObject({
      from: 'sender@example.org',
      recipients: ['someone@example.test'],
      via: chunking ? 'BDAT' : 'DATA',
    });
    expect(hop.messages[0]?.body.toString()).toBe(body);
    expect(hop.commands).toContain(`MAIL FROM:<sender@example.org> SIZE=${body.length}`);
  });

  it('C-077: ten recipients are one transaction', async () => {
    const hop = await fakeHop({ extensions });
    const names = Array.from({ length: 10 }, (_, i) => `r${i}`);
    await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, ...names);
    expect(hop.messages).toHaveLength(1);
    expect(hop.messages[0]?.recipients).toEqual(names.map((name) => `${name}@example.test`));
    expect(hop.commands.filter((line) => /^(DATA|BDAT)/.test(line))).toHaveLength(1);
  });

  it('F-26: partial accept: delivered, pending and failed each on their own', async () => {
    const hop = await fakeHop({ extensions, answers: { RCPT: byName } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, 'r250', 'r450', 'r550');
    expect(settlement.results).toEqual([
      { address: 'r250@example.test', state: 'delivered', lastReply: '250 2.0.0 taken', fromHop: true },
      { address: 'r450@example.test', state: 'pending', lastReply: '450 4.1.1 said', fromHop: true },
      { address: 'r550@example.test', state: 'failed', lastReply: '550 5.1.1 said', fromHop: true },
    ]);
    expect(hop.messages[0]?.recipients).toEqual(['r250@example.test']);
  });

  it.each(
    (
      [
        ['MAIL', '451 4.3.0 later', 'pending'],
        ['MAIL', '550 5.7.1 no', 'failed'],
        ['RCPT', '450 4.2.0 later', 'pending'],
        ['RCPT', '550 5.1.1 no', 'failed'],
        ['DATA', '451 4.3.0 later', 'pending'],
        ['DATA', '554 5.7.1 no', 'failed'],
        ['end', '451 4.3.0 later', 'pending'],
        ['end', '554 5.7.1 no', 'failed'],
      ] as const
    ).filter(isUsed),
  )('F-24, F-25: %s answered %j: %s', async (phase, said, state) => {
    const hop = await fakeHop({ extensions, answers: { [phase]: said } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    expect(told(await rig.deliver(body, 'a', 'b'))).toEqual([`${state} ${said}`, `${state} ${said}`]);
    expect(rig.deliveries).toEqual(new Map([[`out ${state === 'pending' ? 'deferred' : state}`, 2]]));
    expect(hop.messages).toEqual([]);
  });

  it.each(
    (
      [
        ['MAIL', '354 what', 'pending MAIL: 354 what'],
        ['MAIL', '503 5.5.1 order', 'pending MAIL: 503 5.5.1 order'],
        ['RCPT', '503 5.5.1 order', 'pending RCPT: 503 5.5.1 order'],
        // Not a word about the message: a route without the TLS or login that its hop wants.
        [
          'MAIL',
          '530 5.7.0 Must issue a STARTTLS command first',
          'pending MAIL: 530 5.7.0 Must issue a STARTTLS command first',
        ],
        ['RCPT', '530 5.7.1 Authentication required', 'pending RCPT: 530 5.7.1 Authentication required'],
        ['RCPT', '354 what', 'pending RCPT: 354 what'],
        ['DATA', '250 done', 'pending DATA: 250 done'],
        ['end', '354 what', `pending ${end}: 354 what`],
      ] as const
    ).filter(isUsed),
  )('A-142: %s answered %j is out of step: pending, the connection ends', async (phase, said, result) => {
    const hop = await fakeHop({ extensions, answers: { [phase]: said } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual([result]);
    expect(hop.messages).toEqual([]);
    await until(() => hop.open === 0, 'the connection ends');
  });

  it('a missing reply shifts no other reply into its place: nothing fails for good', async () => {
    const hop = await fakeHop({ extensions, answers: { RCPT: silentToB } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { timeouts: { recipient: 80, data: 80 } });
    const settlement = await rig.deliver(body, 'b', 'a');
    expect(settlement.results.map((result) => result.state)).toEqual(['pending', 'pending']);
  });

  it.each([
    ['552 too many recipients', 'pending'],
    ['552 5.5.3 too many recipients', 'pending'],
    ['552 5.2.2 mailbox full', 'failed'],
    ['452 4.5.3 too many recipients', 'pending'],
  ])('RFC 5321 §4.5.3.1.10: RCPT answered %j is %s', async (said, state) => {
    const hop = await fakeHop({ extensions, answers: { RCPT: said } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual([`${state} ${said}`]);
  });

  it('A-142: 354 after all recipients were refused brings no message', async () => {
    const hop = await fakeHop({ extensions, answers: { RCPT: '550 5.1.1 no', DATA: '354 go' } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual(['failed 550 5.1.1 no']);
    // RFC 2920 §3.1: at most the lone dot follows.
    expect(hop.messages.filter((message) => message.body.length > 0)).toEqual([]);
    expect(hop.commands.some((line) => line.startsWith('Subject'))).toBe(false);
  });

  it.each(phases)('A-142: the hop closes after %s: pending', async (phase) => {
    const hop = await fakeHop({ extensions, answers: { [phase]: cut } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, 'a', 'b');
    expect(settlement.results.map((result) => result.state)).toEqual(['pending', 'pending']);
    expect(settlement.results[0]?.lastReply).toMatch(/connection was closed|ECONNRESET/);
  });

  it('F-27: a cut after the final dot is pending and said to be ambiguous', async () => {
    const hop = await fakeHop({ extensions, answers: { end: cut } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    expect(rig.events('relay.deferred')[0]).toMatchObject({ ambiguous: true, recipients: 1 });
    expect(rig.ambiguous.value).toBe(1);
  });

  it('a 4xx after the final dot is not ambiguous', async () => {
    const hop = await fakeHop({ extensions, answers: { end: '451 later' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    expect(rig.events('relay.deferred')[0]).not.toHaveProperty('ambiguous');
    expect(rig.ambiguous.value).toBe(0);
  });

  it.each(phases)('F-28: 421 to %s and a closed connection: pending, no second attempt', async (phase) => {
    const hop = await fakeHop({ extensions, answers: { [phase]: bye } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    const settlement = await rig.deliver(body);
    expect(told(settlement)).toEqual(['pending 421 4.3.2 bye']);
    expect(hop.connections).toBe(1);
    expect(settlement.nextAttemptAtMs).toBeGreaterThan(Date.now() + 40_000);
  });

  it.each(phases)('F-29: no reply to %s: pending at the time-out', async (phase) => {
    const hop = await fakeHop({ extensions, answers: { [phase]: () => undefined } });
    const timeouts = { mail: 80, recipient: 80, data: 80, end: 80 };
    const settlement = await new RelayRig(routeTo([smtp(hop.port)]), { timeouts }).deliver(body);
    expect(told(settlement)[0]).toMatch(
      /^pending (no reply to (MAIL|RCPT|DATA|BDAT|the final dot) within 1 s|MAIL: 503 5.5.1 MAIL first)$/,
    );
    await until(() => hop.open === 0, 'the connection ends');
  });

  it.each(
    (
      [
        ['MAIL', '250 a\n'],
        ['RCPT', 'nonsense\r\n'],
        ['DATA', '354 a\0\r\n'],
        ['end', '250-a\r\n251 b\r\n'],
        ['end', '600 a\r\n'],
      ] as const
    ).filter(isUsed),
  )('A-140: garbage to %s: pending', async (phase, garbage) => {
    const answers: Partial<Record<Phase, Answer>> = {
      [phase]: ({ socket }: HopContext) => void socket.write(garbage),
    };
    const hop = await fakeHop({ extensions, answers });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(settlement.results[0]?.state).toBe('pending');
    await until(() => hop.open === 0, 'the connection ends');
  });

  it('A-142: 250 before the end of the content is not taken for the answer to it', async () => {
    const hop = await inContent((socket) => socket.write('250 2.0.0 taken\r\n'));
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(large);
    expect(told(settlement)).toEqual(['pending unexpected reply: 250 2.0.0 taken']);
  });

  it.each([
    ['552 5.3.4 too big', 'failed 552 5.3.4 too big'],
    ['452 4.3.1 full', 'pending 452 4.3.1 full'],
    ['421 4.3.2 bye', 'pending 421 4.3.2 bye'],
    ['503 5.5.1 order', 'pending unexpected reply: 503 5.5.1 order'],
  ])('A-142: %j before the end of the content: %s', async (said, result) => {
    const hop = await inContent((socket) => socket.write(`${said}\r\n`));
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    expect(told(await rig.deliver(large))).toEqual([result]);
    expect(rig.ambiguous.value).toBe(0);
  });

  it('A-142: the connection is cut in the middle of the content: pending, not ambiguous', async () => {
    const hop = await inContent((socket) => socket.destroy());
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(large);
    expect(rig.events('relay.deferred')[0]).not.toHaveProperty('ambiguous');
  });

  it('F-29: a hop that takes no data is given up, and the relay has read little ahead', async () => {
    const hop = await fakeHop({ extensions, deafBody: true });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { timeouts: { block: 300 } });
    const settlement = await rig.deliver(Buffer.alloc(30_000_000, 'x'));
    expect(told(settlement)).toEqual(['pending no data taken within 1 s']);
    // 458 chunks in all; the kernel's buffers on loopback take some MiB.
    expect(rig.spool.chunksRead).toBeLessThan(300);
  });

  it('the whole transaction has a bound of its own', async () => {
    const hop = await fakeHop({ extensions, answers: { end: () => undefined } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]), { timeouts: { transaction: 100 } });
    expect(told(await rig.deliver(body))).toEqual(['pending the transaction took too long']);
  });

  it('a large message arrives as it was', async () => {
    const large = Buffer.from(`${'.line\r\n\r\n.\r\n'.repeat(30_000)}end\r\n`);
    const hop = await fakeHop({ extensions });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    rig.spool.chunkBytes = 10_007;
    await rig.deliver(large);
    expect(hop.messages[0]?.body.equals(large)).toBe(true);
  });

  it.each([
    [`without a final CRLF ${chunking ? 'stays so' : 'gets one'}`, 'a', chunking ? 'a' : 'a\r\n'],
    ['that is empty stays empty', '', ''],
    ['of one dot', '.\r\n', '.\r\n'],
  ])('a message %s', async (_name, sent, arrived) => {
    const hop = await fakeHop({ extensions });
    await new RelayRig(routeTo([smtp(hop.port)])).deliver(sent);
    expect(hop.messages[0]?.body.toString()).toBe(arrived);
  });

  it('a damaged message is not sent: no final dot, failed, an error in the log', async () => {
    const hop = await fakeHop({ extensions });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    rig.spool.corrupt.add(rig.spool.add('x'.repeat(200_000)));
    rig.start();
    await rig.settled(1);
    expect(rig.spool.settlements.map(told)).toEqual([['failed the checksum does not match']]);
    await until(() => hop.open === 0, 'the connection ends');
    expect(hop.messages).toEqual([]);
    const octets = hop.chunks.join('').split('x').length - 1;
    if (chunking) expect(octets).toBeLessThan(200_000);
    else expect(hop.chunks.join('')).not.toContain('\r\n.\r\n');
    expect(rig.events('relay.failed')[0]).toMatchObject({ level: 50, corrupt: true });
  });

  it('A-086: what the hop says is kept as one printable line', async () => {
    const said = `550-5.1.1 \u001b]0;x\u0007\r\n${'550-x\r\n'.repeat(5000)}550 end`;
    const hop = await fakeHop({ extensions, answers: { MAIL: said } });
    const settlement = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(settlement.results[0]?.lastReply).toMatch(/^550 5\.1\.1 \?\]0;x\? x x [x ]+$/);
    expect(settlement.results[0]?.lastReply).toHaveLength(512);
  });

  it('after a transaction that was left open the next begins with RSET', async () => {
    let refuse = true;
    const rcpt = (): string => (refuse ? '550 5.1.1 no' : '250 ok');
    const hop = await fakeHop({ extensions, answers: { RCPT: rcpt } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    refuse = false;
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect([hop.connections, hop.commands.filter((line) => line === 'RSET').length]).toEqual([1, 1]);
    await rig.deliver(body);
    expect(hop.commands.filter((line) => line === 'RSET')).toHaveLength(1);
  });

  it('a refused RSET is no verdict on the message', async () => {
    let first = true;
    const rcpt = (): string => (first ? '550 5.1.1 no' : '250 ok');
    const hop = await fakeHop({ extensions, answers: { RCPT: rcpt, RSET: '503 5.5.1 never' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    first = false;
    // The kept connection is no good; a fresh one is.
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.connections).toBe(2);
  });

  it(`C-080: paths are passed on unchanged, ${mode}`, async () => {
    const hop = await fakeHop({ extensions });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    const address = '"A <b>\\" c"@Example.TEST';
    rig.spool.add(body, { reversePath: '', recipients: [{ address, route: 'out' }] });
    await rig.start().settled(1);
    expect(hop.commands).toContain(`RCPT TO:<${address}>`);
    expect(hop.commands.some((line) => line.startsWith('MAIL FROM:<> '))).toBe(true);
  });
});

describe('BDAT', () => {
  const extensions = [...withPipelining, 'CHUNKING'];

  it('C-087, RFC 3030: the envelope is one write, then one BDAT with the stored bytes, dots as they are', async () => {
    const hop = await fakeHop({ extensions });
    await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, 'a', 'b');
    expect(hop.chunks.slice(1, 3)).toEqual([
      `MAIL FROM:<sender@example.org> SIZE=${body.length}\r\n` +
        'RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n',
      `BDAT ${body.length} LAST\r\n${body}`,
    ]);
  });

  it('is not sent to a hop that takes nobody', async () => {
    const hop = await fakeHop({ extensions, answers: { RCPT: '550 5.1.1 no' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    expect(told(await rig.deliver(body))).toEqual(['failed 550 5.1.1 no']);
    expect(hop.commands.some((line) => line.startsWith('BDAT'))).toBe(false);
  });

  it('is followed by RSET when it was refused, and by nothing when it was taken', async () => {
    let refuse = true;
    const hop = await fakeHop({ extensions, answers: { end: () => (refuse ? '554 no' : '250 ok') } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    refuse = false;
    for (let i = 0; i < 2; i++) expect(told(await rig.deliver(body))).toEqual(['delivered 250 ok']);
    expect([hop.connections, hop.commands.filter((line) => line === 'RSET').length]).toEqual([1, 1]);
  });

  it.each([
    ['is not known to the hop', { bdatUnknown: true }, /^pending BDAT: 500 5.5.2 what is BDAT$/],
    [
      'is answered with a cut',
      { answers: { end: cut } },
      /^pending (the connection was closed|.*ECONNRESET)$/,
    ],
  ] as const)('that %s: the message waits, and gets DATA from then on', async (_name, options, result) => {
    const hop = await fakeHop({ extensions, ...options });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    expect(told(await rig.deliver(body))[0]).toMatch(result);
    expect(rig.ambiguous.value).toBe('answers' in options ? 1 : 0);
    hop.answers = {};
    expect(told(await rig.deliver(body))).toEqual(['delivered 250 2.0.0 taken']);
    expect(hop.messages.map(({ via }) => via)).toEqual(['DATA']);
  });

  it('that is refused for the message goes on being used', async () => {
    const hop = await fakeHop({ extensions, answers: { end: '554 5.7.1 no' } });
    const rig = new RelayRig(routeTo([smtp(hop.port)]));
    await rig.deliver(body);
    hop.answers = {};
    await rig.deliver(body);
    expect(hop.messages.map(({ via }) => via)).toEqual(['BDAT']);
  });

  it('LMTP answers it for each recipient (RFC 2033 §4.3)', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', extensions, answers: { end: endByName } });
    const settlement = await new RelayRig(routeTo([lmtp(hop.port)])).deliver(body, 'a', 'full', 'gone');
    expect(told(settlement)).toEqual([
      'delivered 250 2.0.0 ok',
      'pending 452 4.2.2 full',
      'failed 550 5.1.1 gone',
    ]);
    expect(hop.messages[0]?.via).toBe('BDAT');
  });

  it('a message that is longer or shorter than its record says is not completed', async () => {
    for (const change of [-1, 1]) {
      const hop = await fakeHop({ extensions });
      const rig = new RelayRig(routeTo([smtp(hop.port)]));
      const id = rig.spool.add('x'.repeat(100_000));
      const entry = rig.spool.entries.get(id);
      if (entry === undefined) throw new Error('unreachable');
      entry.message = { ...entry.message, bytes: 100_000 + change };
      await rig.start().settled(1);
      expect(rig.spool.settlements.flatMap(told)[0]).toMatch(/^failed the stored message is not as long/);
      expect(hop.messages).toEqual([]);
    }
  });
});

describe('pipelining', () => {
  it('C-087: the whole envelope is one write with DATA last, the body waits for 354', async () => {
    const hop = await fakeHop();
    await new RelayRig(routeTo([smtp(hop.port)])).deliver(body, 'a', 'b');
    expect(hop.chunks.slice(1, 3)).toEqual([
      `MAIL FROM:<sender@example.org> SIZE=${body.length}\r\n` +
        'RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n',
      `${body.replaceAll('\r\n.', '\r\n..')}.\r\n`,
    ]);
  });

  it('is not used where not announced', async () => {
    const hop = await fakeHop({ extensions: [] });
    await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(hop.chunks.slice(1, 4)).toEqual([
      'MAIL FROM:<sender@example.org>\r\n',
      'RCPT TO:<someone@example.test>\r\n',
      'DATA\r\n',
    ]);
  });
});

async function send(
  extensions: readonly string[],
  envelope: { body?: '7BIT' | '8BITMIME'; smtpUtf8?: boolean },
  text: string,
): Promise<{ results: string[]; mail: string }> {
  const hop = await fakeHop({ extensions });
  const rig = new RelayRig(routeTo([smtp(hop.port)]));
  rig.spool.add(text, envelope);
  await rig.start().settled(1);
  const mail = hop.commands.find((line) => line.startsWith('MAIL')) ?? '';
  return { results: rig.spool.settlements.flatMap(told), mail };
}
describe('extensions', () => {
  const eightBit = 'Subject: x\r\n\r\n\u00e9\r\n';
  const ok = ['delivered 250 2.0.0 taken'];

  it.each([
    ['declared, announced', ['8BITMIME'], { body: '8BITMIME' }, eightBit, ok, ' BODY=8BITMIME'],
    ['declared, not announced, 7-bit in fact', [], { body: '8BITMIME' }, 'a\r\n', ok, ''],
    ['7BIT', ['8BITMIME'], { body: '7BIT' }, 'a\r\n', ok, ''],
    ['undeclared goes as it came', ['8BITMIME'], {}, eightBit, ok, ''],
    ['undeclared goes as it came, not announced', [], {}, eightBit, ok, ''],
    ['SMTPUTF8', ['SMTPUTF8'], { smtpUtf8: true }, 'a\r\n', ok, ' SMTPUTF8'],
    ['SMTPUTF8 not needed', ['SMTPUTF8'], {}, 'a\r\n', ok, ''],
  ] as const)('C-092: %s', async (_name, extensions, envelope, text, results, parameters) => {
    expect(await send(extensions, envelope, text)).toEqual({
      results,
      mail: `MAIL FROM:<sender@example.org>${parameters}`,
    });
  });

  it('C-092: 8-bit text at a hop without 8BITMIME fails with 5.6.3, unsent', async () => {
    const sent = await send([], { body: '8BITMIME' }, eightBit);
    expect(sent).toEqual({ results: ['failed 5.6.3 the next hop does not support 8BITMIME'], mail: '' });
  });

  it('SMTPUTF8 at a hop without it fails with 5.6.7, unsent (RFC 6531 §3.2)', async () => {
    const sent = await send(['8BITMIME'], { smtpUtf8: true }, 'a\r\n');
    expect(sent).toEqual({ results: ['failed 5.6.7 the next hop does not support SMTPUTF8'], mail: '' });
  });
});

describe('LMTP', () => {
  it('answers the dot for each recipient it took, in order (RFC 2033 §4.2)', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', answers: { end: endByName, RCPT: byName } });
    const settlement = await new RelayRig(routeTo([lmtp(hop.port)])).deliver(
      body,
      'a',
      'r550',
      'full',
      'gone',
      'b',
    );
    expect(told(settlement)).toEqual([
      'delivered 250 2.0.0 ok',
      'failed 550 5.1.1 said',
      'pending 452 4.2.2 full',
      'failed 550 5.1.1 gone',
      'delivered 250 2.0.0 ok',
    ]);
  });

  it('F-27: cut between two of these: the answered ones are settled, the rest is pending and ambiguous', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', answers: { end: firstThenCut } });
    const rig = new RelayRig(routeTo([lmtp(hop.port)]));
    const settlement = await rig.deliver(body, 'a', 'b');
    expect(settlement.results.map((result) => result.state)).toEqual(['delivered', 'pending']);
    expect(rig.events('relay.delivered')[0]).not.toHaveProperty('ambiguous');
    expect(rig.events('relay.deferred')[0]).toMatchObject({ ambiguous: true });
  });

  it('A-142: 354 without a recipient ends the connection', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', answers: { RCPT: '550 5.1.1 no', DATA: '354 go' } });
    const settlement = await new RelayRig(routeTo([lmtp(hop.port)])).deliver(body);
    expect(told(settlement)).toEqual(['failed 550 5.1.1 no']);
    await until(() => hop.open === 0, 'the connection ends');
  });
});

describe('who answers for success (RFC 3461 §5.2)', () => {
  it.each([
    ['smtp', ['DSN'], 'dsn'],
    ['smtp', [], 'relayed'],
    ['lmtp', ['DSN'], 'dsn'],
    ['lmtp', [], 'final'],
  ] as const)('C-125: %s with %j: %s', async (protocol, extensions, handover) => {
    const hop = await fakeHop({ protocol, extensions });
    const seen: unknown[] = [];
    const rig = new RelayRig(routeTo([protocol === 'lmtp' ? lmtp(hop.port) : smtp(hop.port)]), {
      notifier: {
        owes: (_lease, outcome) => {
          seen.push(outcome.handover);
          return false;
        },
        conclude: () => Promise.reject(new Error('nothing was owed')),
      },
    });
    await rig.deliver(body);
    expect(seen).toEqual([handover]);
  });

  it('what we say ourselves is not said to be the hop’s', async () => {
    const hop = await fakeHop({ extensions: ['SIZE 5'] });
    const { results } = await new RelayRig(routeTo([smtp(hop.port)])).deliver(body);
    expect(results[0]).toMatchObject({ state: 'failed', fromHop: false });
  });
});
