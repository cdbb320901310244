/**
 * A small model of a session: what each command is answered, and what it changes, told from the RFCs without a byte of
 * parsing. It knows its commands by name; protocol-model.property.test.ts says them to a real session and compares.
 */

export interface ModelOptions {
  readonly secure: boolean;
  readonly startTls: boolean;
  readonly tlsRequired: boolean;
  readonly authRequired: boolean;
  /** AUTH is to be had, inside TLS. */
  readonly auth: boolean;
  /** The client certificate that is required was not shown. */
  readonly certificateMissing?: boolean;
  /** Each CR or LF alone becomes a CRLF. */
  readonly normalize?: boolean;
  /** XCLIENT and XFORWARD are the client's to use. */
  readonly trusted?: boolean;
  /** Who sends on without waiting where he has to is sent away. Nobody does here. */
  readonly strict?: boolean;
}

export const modelLimits = {
  recipients: 3,
  errors: 8,
  softErrors: 2,
  junkCommands: 10,
  transactions: 4,
  authFailures: 3,
  messageBytes: 200,
};

type Simple = 'RSET' | 'NOOP' | 'VRFY' | 'HELP' | 'EXPN';

export type Command =
  | { readonly kind: 'hello'; readonly verb: 'EHLO' | 'HELO'; readonly name: 'good' | 'missing' | 'bad' }
  | {
      readonly kind: 'mail';
      readonly path: keyof typeof reversePaths;
      readonly extra: keyof typeof mailExtras;
    }
  | { readonly kind: 'rcpt'; readonly path: keyof typeof forwardPaths }
  | { readonly kind: 'data'; readonly argument: boolean; readonly content: keyof typeof contents }
  | { readonly kind: 'bdat'; readonly octets: keyof typeof chunks; readonly last: boolean }
  | { readonly kind: 'simple'; readonly verb: Simple; readonly argument: boolean }
  | { readonly kind: 'starttls'; readonly argument: boolean }
  | { readonly kind: 'xclient'; readonly argument: keyof typeof xclients }
  | { readonly kind: 'xforward'; readonly argument: keyof typeof xforwards }
  | { readonly kind: 'auth'; readonly how: keyof typeof authentications }
  | { readonly kind: 'line'; readonly text: keyof typeof lines }
  | { readonly kind: 'quit'; readonly argument: boolean };

/** What the client sends, and the codes it is answered with. */
export interface Step {
  readonly text: string;
  readonly codes: readonly number[];
}

export const reversePaths = {
  '<a@x.test>': 250,
  '<>': 250,
  // The queue has no room for this one: 451 at its end.
  '<full@x.test>': 250,
  'a@x.test': 501,
  '<a@x.test': 501,
  '<a@@x.test>': 501,
} as const;

export const mailExtras = {
  '': 250,
  ' SIZE=200': 250,
  ' BODY=8BITMIME SMTPUTF8': 250,
  ' RET=HDRS ENVID=a+2Bb': 250,
  ' SIZE=201': 552,
  ' SIZE=x': 501,
  ' FOO': 555,
} as const;

export const forwardPaths = {
  '<b@ok.test>': 250,
  '<Postmaster>': 250,
  '<"b c"@ok.test>': 250,
  '<b@elsewhere.test>': 550,
  'b@ok.test': 501,
  '<>': 501,
} as const;

/** Of another address of the peer's own network, which may go on naming clients. */
export const xclients = { ' ADDR=127.0.0.2': 220, ' ADDR=x': 501, ' FOO=1': 501, '': 501 } as const;
export const xforwards = { ' NAME=x': 250, ' FOO=1': 501, '': 501 } as const;

/**
 * With the end of data; how the message is answered, and what is stored of it. `mended`: what is stored where newlines are
 * normalized.
 */
export const contents = {
  'Subject: t\r\n\r\nbody\r\n.\r\n': { code: 250, body: 'Subject: t\r\n\r\nbody\r\n' },
  '.\r\n': { code: 250, body: '' },
  '..\r\n...x\r\n.\r\n': { code: 250, body: '.\r\n..x\r\n' },
  'a\nb\r\n.\r\n': { code: 550, body: '', mended: 'a\r\nb\r\n' },
  'a\r\n.\rb\r\n\r\n.\r\n': { code: 550, body: '', mended: 'a\r\n\r\nb\r\n\r\n' },
  'a\0b\r\n.\r\n': { code: 550, body: '' },
  ' a\r\n\r\n.\r\n': { code: 550, body: '' },
  [`${'x'.repeat(98)}\r\n${'x'.repeat(98)}\r\n.\r\n`]: { code: 250, body: `${'x'.repeat(98)}\r\n`.repeat(2) },
  [`${'x'.repeat(98)}\r\n${'x'.repeat(99)}\r\n.\r\n`]: { code: 552, body: '' },
} as const;

/** Octets of a chunk. What several of them make together decides. */
export const chunks = {
  '': true,
  'Subject: t\r\n': true,
  '\r\n.\r\nQUIT\r\n': true,
  'no line end': true,
  '\r': true,
  '\n': true,
  'a\0b': true,
  ' blank': true,
  [`${'x'.repeat(148)}\r\n`]: true,
} as const;

/** What follows `AUTH `, lines apart; the last decides. */
export const authentications = {
  'PLAIN AHUAcA==': 235,
  'PLAIN\nAHUAcA==': 235,
  'LOGIN\ndQ==\ncA==': 235,
  'login dQ==\ncA==': 235,
  'PLAIN AHUAeA==': 535,
  'PLAIN =': 535,
  'LOGIN\ndQ==\neA==': 535,
  'PLAIN\n*': 501,
  'LOGIN\n!': 501,
  'PLAIN AHUAcA=': 501,
  'SCRAM-SHA-256 biwsbj11LHI9YWJj\nYz1iaXdzLHI9YWJjc2VydmVyLHA9QUFBQQ==': 535,
  'SCRAM-SHA-256\nbiwsbj11LHI9YWJj\n*': 501,
  'CRAM-MD5\ndSAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==': 535,
  'CRAM-MD5 =': 501,
  'NTLM x': 504,
  '': 501,
} as const;

export const lines = {
  FOO: 500,
  '': 500,
  'NOOP\nNOOP': 500,
  STARTTLSX: 500,
  [`NOOP ${'x'.repeat(3000)}`]: 500,
} as const;

export interface Queued {
  readonly from: string;
  readonly recipients: number;
  readonly body: string;
}

const beforeTls = new Set(['EHLO', 'NOOP', 'QUIT', 'STARTTLS']);
const junk = new Set(['EHLO', 'HELO', 'RSET', 'NOOP', 'VRFY', 'HELP', 'EXPN', 'XCLIENT', 'XFORWARD']);
const beforeHello = new Set([...junk, 'QUIT']);

export class SessionModel {
  hello: '' | 'EHLO' | 'HELO' = '';
  user = '';
  /** '' is the null path. */
  sender: string | undefined;
  recipients = 0;
  closed = false;
  /** STARTTLS was accepted: the next command comes inside TLS. */
  upgraded = false;
  /** What came by BDAT so far; undefined: no message has begun. */
  body: string | undefined;
  readonly queued: Queued[] = [];
  #secure: boolean;
  #errors = 0;
  #junk = 0;
  #authFailures = 0;
  #transactions = 0;
  readonly #options: ModelOptions;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#secure = options.secure;
  }

  /** RFC 3207 §4.2: nothing is remembered. */
  handshake(): void {
    this.upgraded = false;
    this.#secure = true;
    this.hello = '';
    this.user = '';
    this.#reset();
    this.#errors = this.#junk = this.#authFailures = this.#transactions = 0;
  }

  /** The steps of a command as they will go. */
  say(command: Command): Step[] {
    switch (command.kind) {
      case 'hello':
        return this.#command(command.verb, { good: ' t', missing: '', bad: ' [1.2.3]' }[command.name], () => {
          if (command.name !== 'good') return this.#refuse(501);
          this.hello = command.verb;
          this.#reset();
          return [250];
        });
      case 'mail':
        return this.#command('MAIL', ` FROM:${command.path}${command.extra}`, () => this.#mail(command));
      case 'rcpt':
        return this.#command('RCPT', ` TO:${command.path}`, () => this.#rcpt(forwardPaths[command.path]));
      case 'data':
        return this.#data(command.argument, command.content);
      case 'bdat':
        return this.#bdat(String(command.octets), command.last);
      case 'simple':
        return this.#command(command.verb, command.argument ? ' x' : '', () => this.#simple(command));
      case 'starttls':
        return this.#command('STARTTLS', command.argument ? ' x' : '', () => {
          if (this.#secure) return this.#refuse(503);
          if (!this.#options.startTls) return this.#refuse(502);
          if (command.argument) return this.#refuse(501);
          this.upgraded = true;
          return [220];
        });
      case 'xclient':
        return this.#command('XCLIENT', command.argument, () => this.#xclient(xclients[command.argument]));
      case 'xforward':
        return this.#command('XFORWARD', command.argument, () => {
          const fault = this.#trustFault();
          if (fault !== undefined) return fault;
          const code = xforwards[command.argument];
          return code === 250 ? [250] : this.#refuse(code);
        });
      case 'auth':
        return this.#auth(command.how);
      case 'line':
        return [{ text: `${String(command.text)}\r\n`, codes: this.#refuse(lines[command.text] ?? 0) }];
      case 'quit':
        return this.#command('QUIT', command.argument ? ' x' : '', () => {
          if (command.argument) return this.#refuse(501);
          this.closed = true;
          return [221];
        });
    }
  }

  #command(verb: string, rest: string, act: () => number[]): Step[] {
    return [{ text: `${verb}${rest}\r\n`, codes: this.#ordered(verb) ?? act() }];
  }

  /** What is wrong with a verb at this place, whatever follows it. */
  #ordered(verb: string): number[] | undefined {
    if (junk.has(verb) && ++this.#junk > modelLimits.junkCommands) return this.#leave();
    if (this.#options.certificateMissing === true && verb !== 'QUIT') return this.#refuse(554);
    if (this.#options.tlsRequired && !this.#secure && !beforeTls.has(verb)) return this.#refuse(530);
    return this.hello === '' && !beforeHello.has(verb) ? this.#refuse(503) : undefined;
  }

  #mail({ path, extra }: Extract<Command, { kind: 'mail' }>): number[] {
    if (this.sender !== undefined) return this.#refuse(503);
    if (this.#options.authRequired && this.user === '') return this.#refuse(530);
    if (this.#transactions === modelLimits.transactions) return this.#leave();
    const code = reversePaths[path] === 250 ? mailExtras[extra] : reversePaths[path];
    if (code !== 250) return this.#refuse(code);
    this.sender = path.slice(1, -1);
    this.#transactions++;
    return [250];
  }

  #rcpt(code: number): number[] {
    if (this.sender === undefined || this.body !== undefined) return this.#refuse(503);
    if (code === 501) return this.#refuse(501);
    if (this.recipients === modelLimits.recipients) return [452]; // no fault of the client's
    if (code !== 250) return this.#refuse(code);
    this.recipients++;
    return [250];
  }

  #data(argument: boolean, content: keyof typeof contents): Step[] {
    const begun = this.#command('DATA', argument ? ' x' : '', () => {
      if (this.sender === undefined || this.body !== undefined) return this.#refuse(503);
      if (this.recipients === 0) return this.#refuse(554);
      return argument ? this.#refuse(501) : [354];
    });
    if (begun[0]?.codes[0] !== 354) return begun;
    return [...begun, { text: String(content), codes: this.#content(content) }];
  }

  #content(content: keyof typeof contents): number[] {
    const row: { code: number; body: string; mended?: string } = contents[content] ?? { code: 0, body: '' };
    return this.#options.normalize === true && row.mended !== undefined
      ? this.#end(250, row.mended)
      : this.#end(row.code, row.body);
  }

  /** RFC 3030 §2: the octets belong to the command, whatever its reply. */
  #bdat(octets: string, last: boolean): Step[] {
    const command = `BDAT ${octets.length}${last ? ' LAST' : ''}\r\n`;
    if (!last && ++this.#junk > modelLimits.junkCommands)
      return [{ text: command + octets, codes: this.#leave() }];
    const fault = this.#bdatFault();
    if (fault !== undefined) this.#reset();
    const codes = fault === undefined ? this.#chunk(octets, last) : this.#refuse(fault);
    // Octets behind a command before EHLO are early talk to a strict server.
    if (this.#options.strict !== true || octets === '') return [{ text: command + octets, codes }];
    return [
      { text: command, codes: [] },
      { text: octets, codes },
    ];
  }

  #chunk(octets: string, last: boolean): number[] {
    const body = (this.body ?? '') + octets;
    const mended = this.#options.normalize === true ? body.replaceAll(/\r\n?|\n/g, '\r\n') : body;
    const code = mended.length > modelLimits.messageBytes ? 552 : this.#contentCode(body, last);
    if (code !== 250 || last) return this.#end(code, mended);
    this.body = body;
    return [250];
  }

  /** RFC 5321 §2.3.8: a CR or LF alone, a NUL, a first line that continues another. A CR at the end may get its LF yet. */
  #contentCode(body: string, last: boolean): number {
    const settled = last ? body : body.replace(/\r$/, '');
    const bad = this.#options.normalize === true ? /\0|^[ \t]/ : /\r(?!\n)|(?<!\r)\n|\0|^[ \t]/;
    return bad.test(settled) ? 550 : 250;
  }

  #bdatFault(): number | undefined {
    if (this.#options.certificateMissing === true) return 554;
    if (this.#options.tlsRequired && !this.#secure) return 530;
    if (this.hello === '' || this.sender === undefined) return 503;
    return this.recipients === 0 ? 554 : undefined;
  }

  #end(code: number, body: string): number[] {
    const { sender: from = '', recipients } = this;
    this.#reset();
    if (code !== 250) return this.#refuse(code);
    if (from === 'full@x.test') return [451]; // our trouble, no fault of the client's
    this.queued.push({ from, recipients, body });
    this.#junk = 0;
    return [250];
  }

  #simple({ verb, argument }: Extract<Command, { kind: 'simple' }>): number[] {
    switch (verb) {
      case 'RSET':
        if (argument) return this.#refuse(501);
        this.#reset();
        return [250];
      case 'NOOP':
        return [250];
      case 'VRFY':
        return argument ? [252] : this.#refuse(501);
      case 'HELP':
        return [214];
      case 'EXPN':
        return this.#refuse(502);
    }
  }

  #trustFault(): number[] | undefined {
    if (this.#options.trusted !== true) return this.#refuse(550);
    return this.sender === undefined ? undefined : this.#refuse(503);
  }

  /** Back to the greeting; how often the peer has erred is not forgotten. */
  #xclient(code: number): number[] {
    const fault = this.#trustFault();
    if (fault !== undefined) return fault;
    if (code !== 220) return this.#refuse(code);
    this.hello = '';
    this.user = '';
    this.#authFailures = 0;
    return [220];
  }

  #auth(how: keyof typeof authentications): Step[] {
    const [first = '', ...rest] = how.split('\n');
    const text = `AUTH ${first}\r\n`;
    const fault = this.#ordered('AUTH') ?? this.#authFault();
    if (fault !== undefined) return [{ text, codes: fault }];
    const code = authentications[how];
    if (first === '' || code === 504) return [{ text, codes: this.#refuse(code) }];
    const said = [text, ...rest.map((line) => `${line}\r\n`)];
    return said.map((line, at) => ({ text: line, codes: at < rest.length ? [334] : this.#authEnd(code) }));
  }

  #authFault(): number[] | undefined {
    if (!this.#options.auth) return this.#refuse(502);
    if (!this.#secure) return this.#refuse(538);
    if (this.hello !== 'EHLO' || this.user !== '' || this.sender !== undefined) return this.#refuse(503);
    return undefined;
  }

  #authEnd(code: number): number[] {
    if (code === 235) {
      this.user = 'u';
      return [235];
    }
    const codes = this.#refuse(code);
    if (!this.closed && ++this.#authFailures === modelLimits.authFailures)
      return [...codes, ...this.#leave()];
    return codes;
  }

  #refuse(code: number): number[] {
    return ++this.#errors === modelLimits.errors ? [code, ...this.#leave()] : [code];
  }

  #leave(): number[] {
    this.closed = true;
    return [421];
  }

  #reset(): void {
    this.sender = undefined;
    this.recipients = 0;
    this.body = undefined;
  }
}
