/** The server's side of SCRAM with the keys of policy/scram-check, against a client that is written apart from it. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { ScramCheck, type ScramVerifier } from '../../../src/policy/scram-check.js';
import { prepareString } from '../../../src/base/prepare-string.js';
import { makeVerifier } from '../../../src/pool/scram.js';
import type { SaslStep } from '../../../src/protocol/sasl/exchange.js';
import { newExchange } from '../../../src/protocol/sasl/mechanisms.js';
import type { Mechanism, ScramFamily, SaslQuestion, Verdict } from '../../../src/protocol/types.js';
import { replies } from '../../../src/protocol/replies.js';
import { ScramClient, type ScramClientOptions } from '../../support/scram-client.js';

const meters = { authTotal: { of: () => ({ value: 0 }) } };
const channel = Buffer.alloc(32, 7);

class Server {
  readonly #check: ScramCheck;
  readonly asked: SaslQuestion[] = [];

  constructor(verifiers: ReadonlyMap<string, ScramVerifier>, nonce?: string) {
    this.#check = new ScramCheck({
      users: {
        verifierOf: (family, name) => verifiers.get(`${family} ${name}`),
        unknownSaltKey: Buffer.alloc(32, 1),
        commonIterations: () => 4096,
      },
      meters,
      ...(nonce === undefined ? {} : { randomNonce: () => nonce }),
    });
  }

  open(mechanism: Mechanism, announced: readonly Mechanism[] = [mechanism]) {
    const exchange = newExchange(mechanism, announced);
    const settle = (step: SaslStep): SaslStep =>
      step.kind === 'question' ? settle(exchange.answer(this.#answer(step.question))) : step;
    return {
      begin: (text: string | undefined) =>
        settle(exchange.begin(text === undefined ? undefined : Buffer.from(text))),
      respond: (text: string) => settle(exchange.respond(Buffer.from(text))),
    };
  }

  #answer(question: SaslQuestion): Verdict {
    this.asked.push(question);
    if (question.kind === 'scram-salt') {
      const salt = this.#check.salt(question.family, question.authenticationId);
      return { ok: true, sasl: { kind: 'scram-salt', ...salt, channelBinding: channel } };
    }
    if (question.kind !== 'scram-proof') throw new Error(`SCRAM asked ${question.kind}`);
    const result = this.#check.check(question);
    if (result.kind !== 'ok') return { ok: false, reply: replies.authFailed };
    return {
      ok: true,
      user: result.user,
      sasl: { kind: 'scram-signature', signature: result.signature },
    };
  }
}

/** What a 334 says, decoded. */
function said(step: SaslStep): string {
  if (step.kind !== 'challenge') return `${step.kind}${step.kind === 'failed' ? ` ${step.reply.name}` : ''}`;
  const line = step.reply.bytes.toString('latin1');
  expect(line).toMatch(/^334 [A-Za-z0-9+/]*=*\r\n$/);
  return Buffer.from(line.slice(4), 'base64').toString('utf8');
}

const failed = 'failed authFailed';

const families = [
  { family: 'SCRAM-SHA-256', hash: 'sha256' },
  { family: 'SCRAM-SHA-1', hash: 'sha1' },
] as const;

describe('the example of the RFC, octet by octet', () => {
  const examples: readonly {
    rfc: string;
    family: ScramFamily;
    salt: string;
    clientFirst: string;
    serverNonce: string;
    serverFirst: string;
    clientFinal: string;
    serverFinal: string;
  }[] = [
    {
      rfc: 'RFC 5802 §5',
      family: 'SCRAM-SHA-1',
      salt: 'QSXCR+Q6sek8bf92',
      clientFirst: 'n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL',
      serverNonce: '3rfcNHYJY1ZVvWVs7j',
      serverFirst: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
      clientFinal: 'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
      serverFinal: 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
    },
    {
      rfc: 'RFC 7677 §3',
      family: 'SCRAM-SHA-256',
      salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
      clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
      serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
      serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      clientFinal:
        'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
      serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    },
  ];

  test.each(examples)('$family: $rfc', async ({ family, salt, serverNonce, ...messages }) => {
    const verifier = await makeVerifier(family, 'pencil', Buffer.from(salt, 'base64'), 4096);
    const exchange = new Server(new Map([[`${family} user`, verifier]]), serverNonce).open(family);
    expect(said(exchange.begin(undefined))).toBe('');
    expect(said(exchange.respond(messages.clientFirst))).toBe(messages.serverFirst);
    expect(said(exchange.respond(messages.clientFinal))).toBe(messages.serverFinal);
    expect(exchange.respond('')).toMatchObject({ kind: 'succeeded', user: 'user', reply: { code: 235 } });
  });
});

describe.each(families)('$family', ({ family, hash }) => {
  const plus: Mechanism = `${family}-PLUS`;
  const both = [plus, family] as const;
  let server: Server;

  beforeAll(async () => {
    const verifier = await makeVerifier(family, 'pencil', undefined, 4096);
    server = new Server(new Map([[`${family} user`, verifier]]));
  });

  /** The messages of a client up to what its proof is answered with. */
  function proofOf(
    options: Partial<ScramClientOptions>,
    mechanism: Mechanism = family,
    announced: readonly Mechanism[] = [mechanism],
    change?: (withoutProof: string) => string,
  ): string {
    const client = new ScramClient({ hash, user: 'user', password: 'pencil', ...options });
    const exchange = server.open(mechanism, announced);
    const challenge = said(exchange.begin(client.first));
    if (!challenge.startsWith('r=')) return challenge;
    const answer = said(exchange.respond(client.final(challenge, change)));
    return answer === `v=${client.signature}` ? 'right' : answer;
  }

  test('the right proof is answered with our signature', () => {
    expect(proofOf({})).toBe('right');
    expect(proofOf({ authorizationId: 'user' })).toBe('right');
  });

  test.each<[string, Partial<ScramClientOptions>]>([
    ['a wrong password', { password: 'Pencil' }],
    ['an unknown user (A-104)', { user: 'nobody' }],
    ['a borrowed name (A-101)', { authorizationId: 'other' }],
    ['a name with a control character', { user: 'us\x01er' }],
  ])('%s gets the same 535', (_, options) => {
    expect(proofOf(options)).toBe(failed);
  });

  test('-PLUS takes the channel it is on', () => {
    expect(proofOf({ flag: 'p=tls-exporter', binding: channel }, plus, both)).toBe('right');
  });

  test.each<[string, Partial<ScramClientOptions>, Mechanism]>([
    ['another channel: somebody is between', { flag: 'p=tls-exporter', binding: Buffer.alloc(32, 8) }, plus],
    ['a channel cut short', { flag: 'p=tls-exporter', binding: channel.subarray(0, 31) }, plus],
    ['no channel', { flag: 'p=tls-exporter' }, plus],
    ['another kind of binding', { flag: 'p=tls-unique', binding: channel }, plus],
    ['-PLUS without a binding', { flag: 'n' }, plus],
    ['-PLUS by a client that says it saw none', { flag: 'y' }, plus],
    ['a binding without -PLUS', { flag: 'p=tls-exporter', binding: channel }, family],
    ['a client that was shown no -PLUS where we announced it (RFC 5802 §6)', { flag: 'y' }, family],
  ])('%s is refused', (_, options, mechanism) => {
    expect(proofOf(options, mechanism, both)).toBe(failed);
  });

  test('a client that could bind and saw no -PLUS is right where there is none', () => {
    expect(proofOf({ flag: 'y' })).toBe('right');
    expect(proofOf({ flag: 'n' }, family, both)).toBe('right');
  });

  test.each<[string, (text: string) => string]>([
    ['another nonce', (text) => text.replace('r=r', 'r=x')],
    ['the client’s nonce alone', () => `c=biws,r=rOprNGfwEbeRWgbNEkqO`],
    ['a longer nonce', (text) => `${text}x`],
    ['another header in c=', (text) => text.replace('biws', Buffer.from('y,,').toString('base64'))],
    [
      'a header that names another user',
      (text) => text.replace('biws', Buffer.from('n,a=x,').toString('base64')),
    ],
  ])('%s is refused, signed or not', (_, change) => {
    const before = server.asked.length;
    expect(proofOf({}, family, [family], change)).toBe(failed);
    expect(server.asked.slice(before).map(({ kind }) => kind)).toEqual(['scram-salt']);
  });

  test('a recorded proof is worth nothing in another exchange', () => {
    const client = new ScramClient({ hash, user: 'user', password: 'pencil' });
    const exchange = server.open(family);
    const recorded = client.final(said(exchange.begin(client.first)));
    const replayed = server.open(family);
    replayed.begin(client.first);
    expect(said(replayed.respond(recorded))).toBe(failed);
    expect(said(exchange.respond(recorded))).toBe(`v=${client.signature}`);
  });

  test('the client has the last word, and says nothing with it', () => {
    const client = new ScramClient({ hash, user: 'user', password: 'pencil' });
    const exchange = server.open(family);
    exchange.respond(client.final(said(exchange.begin(client.first))));
    expect(said(exchange.respond('v=x'))).toBe(failed);
  });

  test.each([
    ['nothing', ''],
    ['junk', '\0\0\0'],
    ['a mandatory extension', 'n,,m=1,n=user,r=abc'],
  ])('%s for a first message gets 535, and nobody is asked', (_, text) => {
    const before = server.asked.length;
    expect(said(server.open(family).begin(text))).toBe(failed);
    expect(server.asked).toHaveLength(before);
  });

  test('round trips with any name and password', async () => {
    const spelling = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
    const prepared = spelling.map((text) => prepareString(text) ?? '=,').filter((text) => text !== '');
    await fc.assert(
      fc.asyncProperty(prepared, prepared, fc.boolean(), async (user, password, right) => {
        const verifier = await makeVerifier(family, password, undefined, 4096);
        const own = new Server(new Map([[`${family} ${user}`, verifier]]));
        const given = right ? password : `${password}x`;
        const client = new ScramClient({ hash, user, password: given, authorizationId: user });
        const exchange = own.open(family);
        const answer = said(exchange.respond(client.final(said(exchange.begin(client.first)))));
        expect(answer).toBe(right ? `v=${client.signature}` : failed);
        if (right) expect(exchange.respond('')).toMatchObject({ kind: 'succeeded', user });
      }),
      { numRuns: 40 },
    );
  });
});
