/**
 * By which destination a notification of ours goes to the sender of a message. Senders of our own domains are reached
 * like any recipient there; one that would be refused at RCPT gets none, since his address was made up. Others are
 * reached by `notifications.route`, else as the mail of users is. Pure; asked by the relay.
 */
import { RelayDecision, type RelayAnswer, type RelayConfig, type RelayRefusal } from './relay-decision.js';

/** The checked Config fits. */
export interface NotificationRouteConfig extends RelayConfig {
  readonly listeners: readonly {
    readonly role: 'inbound' | 'submission';
    readonly route: string | undefined;
  }[];
  readonly notifications: { readonly route: string | undefined };
}

export interface PostmasterAddress {
  readonly address: string;
  /** The name of a route, or `<route>/<domain>`. */
  readonly route: string;
}

export class NotificationRoute {
  readonly #decision: RelayDecision;
  readonly #outside: string | undefined;
  /** For notifications that cannot be delivered themselves; undefined: nobody to tell. */
  readonly postmaster: PostmasterAddress | undefined;

  constructor(config: NotificationRouteConfig) {
    this.#decision = new RelayDecision(config);
    this.#outside =
      config.notifications.route ?? config.listeners.find(({ role }) => role === 'submission')?.route;
    const named = config.postmaster === undefined ? undefined : this.destinationForSender(config.postmaster);
    this.postmaster =
      config.postmaster === undefined || named === undefined
        ? this.#decision.postmaster
        : { address: config.postmaster, route: named };
  }

  /**
   * @param address a reverse-path as MAIL gave it; '' is the null one, which is never told anything (RFC 5321 §6.1)
   * @returns undefined: there is no way to tell this sender
   */
  destinationForSender(address: string): string | undefined {
    const answer = this.#decide(address);
    return answer?.ok === true ? answer.route : undefined;
  }

  /** Why there is no way: 'relay-denied' is that no route leads there; the others, that RCPT would refuse it as well. */
  refusalOfSender(address: string): RelayRefusal {
    const answer = this.#decide(address);
    return answer === undefined || answer.ok ? 'relay-denied' : answer.refusal;
  }

  #decide(address: string): RelayAnswer | undefined {
    const at = address.lastIndexOf('@');
    if (at <= 0) return undefined;
    return this.#decision.decide(
      { address, localPart: unquote(address.slice(0, at)), domain: address.slice(at + 1).toLowerCase() },
      // As a user of ours: the message goes out in our name.
      { role: 'submission', user: 'postern', listenerRoute: this.#outside },
    );
  }
}

/** RFC 5321 §4.1.2: a Quoted-string names the same mailbox as what it says. */
function unquote(localPart: string): string {
  if (!localPart.startsWith('"') || !localPart.endsWith('"')) return localPart;
  return localPart.slice(1, -1).replaceAll(/\\(.)/gs, '$1');
}
