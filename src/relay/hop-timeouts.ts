/** How long a next hop may take, per phase. Each runs on a whole reply or a whole block, so that dripping does not help. */
import type { RouteTimeouts } from '../config/config.js';

/** RFC 5321 §4.5.3.2, its minimum in brackets; where it names none, the reason. Milliseconds. */
export const hopTimeoutsMs = {
  /** To the end of the TCP handshake, all addresses of a hop together: the lane is needed for the next hop. */
  connect: 30_000,
  /** 220 (5 min). */
  greeting: 300_000,
  /** EHLO, HELO, LHLO, RSET: none named; as MAIL. */
  hello: 300_000,
  /** The 220 of STARTTLS, then the handshake: as DATA's initiation, it is a reply without disk work. */
  startTls: 120_000,
  /** (5 min) */
  mail: 300_000,
  /** (5 min) */
  recipient: 300_000,
  /** 354 (2 min) */
  data: 120_000,
  /** Between two writes of the body (3 min). */
  block: 180_000,
  /** The reply to the final dot (10 min). */
  end: 600_000,
  /** Nobody loses anything when a hop does not answer QUIT. */
  quit: 2_000,
  /** One whole transaction: a hop that takes each of 1000 recipients 5 minutes would hold its lane for days. */
  transaction: 7_200_000,
} as const;

export type HopTimeouts = { readonly [Phase in keyof typeof hopTimeoutsMs]: number };

/** A route's own over the defaults: `command` is for every command but DATA and QUIT, `data` for the 354 and each block. */
export function hopTimeoutsOf(route: RouteTimeouts): HopTimeouts {
  const { connect, greeting, command, data, end } = route;
  const ours = hopTimeoutsMs;
  return {
    ...ours,
    connect: connect ?? ours.connect,
    greeting: greeting ?? ours.greeting,
    hello: command ?? ours.hello,
    startTls: command ?? ours.startTls,
    mail: command ?? ours.mail,
    recipient: command ?? ours.recipient,
    data: data ?? ours.data,
    block: data ?? ours.block,
    end: end ?? ours.end,
  };
}
