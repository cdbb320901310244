/** Counts each reply under its verb and code, and each refusal under its stage and reason. */
import type { Cell, Meters } from '../metrics/meters.js';
import type { Reply, ReplyContext } from '../protocol/types.js';

const stages: Readonly<Record<ReplyContext, string>> = {
  CONNECT: 'connect',
  EHLO: 'helo',
  HELO: 'helo',
  LHLO: 'helo',
  MAIL: 'mail',
  RCPT: 'recipient',
  DATA: 'data',
  BDAT: 'data',
  MESSAGE: 'message',
  AUTH: 'auth',
  STARTTLS: 'starttls',
  RSET: 'command',
  NOOP: 'command',
  QUIT: 'command',
  VRFY: 'command',
  HELP: 'command',
  EXPN: 'command',
  XCLIENT: 'command',
  XFORWARD: 'command',
  UNKNOWN: 'command',
};

export class ReplyCounter {
  readonly #meters: Pick<Meters, 'commandsTotal' | 'rejectionsTotal'>;
  // By context, then code: two small map look-ups a reply instead of a hash of joined labels. Bounded by the catalogue.
  readonly #cells = new Map<ReplyContext, Map<number, Cell>>();

  constructor(meters: Pick<Meters, 'commandsTotal' | 'rejectionsTotal'>) {
    this.#meters = meters;
  }

  count(reply: Reply, context: ReplyContext): void {
    let byCode = this.#cells.get(context);
    if (byCode === undefined) this.#cells.set(context, (byCode = new Map()));
    let cell = byCode.get(reply.code);
    if (cell === undefined)
      byCode.set(reply.code, (cell = this.#meters.commandsTotal.of(context, String(reply.code))));
    cell.value += 1;
    if (reply.code >= 400) this.#rejection(reply, context).value += 1;
  }

  #rejection(reply: Reply, context: ReplyContext): Cell {
    return this.#meters.rejectionsTotal.of(stages[context], reply.name, String(reply.code), reply.enhanced);
  }
}
