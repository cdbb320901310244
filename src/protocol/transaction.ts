/** One mail transaction, RFC 5321 §3.3: made by MAIL, dropped as a whole. Nothing of a message lives elsewhere. */
import type { XforwardAttributes } from './client-attributes.js';
import type { Mailbox, MailParameters, RcptParameters, Recipient, Transaction } from './types.js';

export class OpenTransaction implements Transaction {
  readonly number: number;
  readonly reversePath: Mailbox;
  readonly parameters: MailParameters;
  readonly recipients: Recipient[] = [];
  readonly forwarded: XforwardAttributes | undefined;
  /** RCPTs answered 452 because the list is full. They are not stored. */
  overshoot = 0;

  constructor(
    number: number,
    reversePath: Mailbox,
    parameters: MailParameters,
    forwarded: XforwardAttributes | undefined,
  ) {
    this.number = number;
    this.reversePath = reversePath;
    this.parameters = parameters;
    this.forwarded = forwarded;
  }

  /** @param address to be stored and relayed instead of the client's */
  add(
    { mailbox, parameters }: { readonly mailbox: Mailbox; readonly parameters: RcptParameters },
    route: string,
    address: string | undefined,
  ): void {
    const stored = address === undefined ? mailbox : { ...mailbox, address };
    this.recipients.push({ mailbox: stored, parameters, route });
  }
}
