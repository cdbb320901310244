/**
 * The machine's part of a notification: message/delivery-status (RFC 3464 §2), and its UTF-8 form message/global-
 * delivery-status (RFC 6533 §4). Field order and spelling are those of the MTAs that bounce parsers know best. Pure.
 */
import { isIP } from 'node:net';

import { formatDate } from '../../protocol/received.js';

import { cutBytes, field, foldedField, isAscii } from './header-fields.js';
import type { Action } from './status-code.js';
import { decodeOriginalRecipient, decodeXtext } from './xtext.js';

export interface ReportedRecipient {
  readonly address: string;
  /** ORCPT as the client wrote it. */
  readonly originalRecipient: string | undefined;
  readonly action: Action;
  readonly status: string;
  /** The reply or our own words. */
  readonly diagnostic: string;
  readonly expired: boolean;
  /** The hop that spoke, without its port; '' where the words are ours. */
  readonly remoteHost: string;
}

export interface StatusFacts {
  readonly hostname: string;
  /** Of the message that this is about. */
  readonly queueId: string;
  readonly arrivedAtMs: number;
  /** ENVID as the client wrote it. */
  readonly envelopeId: string | undefined;
  readonly lastAttemptAtMs: number;
  /** For delays. */
  readonly retryUntilMs: number | undefined;
  readonly recipients: readonly ReportedRecipient[];
  /** UTF-8 may stand in it: message/global-delivery-status. */
  readonly international: boolean;
}

/** A reply has 512 characters at most (last-reply.ts); this is what stands before it. */
const maxDiagnosticBytes = 640;

export function deliveryStatus(facts: StatusFacts): string {
  const groups = facts.recipients.map((recipient) => `\r\n${recipientFields(recipient, facts)}`);
  return messageFields(facts) + groups.join('');
}

/** RFC 3464 §2.2. */
function messageFields(facts: StatusFacts): string {
  const { envelopeId } = facts;
  return (
    (envelopeId === undefined ? '' : field('Original-Envelope-Id', decodeXtext(envelopeId))) +
    field('Reporting-MTA', `dns; ${facts.hostname}`) +
    field('X-Postern-Queue-ID', facts.queueId) +
    field('Arrival-Date', formatDate(new Date(facts.arrivedAtMs)))
  );
}

/** RFC 3464 §2.3. */
function recipientFields(recipient: ReportedRecipient, facts: StatusFacts): string {
  const { originalRecipient, address, remoteHost } = recipient;
  const original =
    originalRecipient === undefined
      ? ''
      : field('Original-Recipient', decodeOriginalRecipient(originalRecipient, facts.international));
  const until = facts.retryUntilMs;
  return (
    original +
    field('Final-Recipient', typedAddress(address)) +
    field('Action', recipient.action) +
    field('Status', recipient.status) +
    (remoteHost === '' ? '' : field('Remote-MTA', `dns; ${mtaName(remoteHost)}`)) +
    diagnosticCode(recipient) +
    field('Last-Attempt-Date', formatDate(new Date(facts.lastAttemptAtMs))) +
    (until === undefined ? '' : field('Will-Retry-Until', formatDate(new Date(until))))
  );
}

/** RFC 6533 §3: `utf-8` is for what `rfc822` cannot hold. */
function typedAddress(address: string): string {
  return `${isAscii(address) ? 'rfc822' : 'utf-8'}; ${address}`;
}

/** `smtp` is for replies of an SMTP server alone (RFC 3464 §2.3.6); LMTP's are the same. Of what was stored here, the
 *  name of a file is nobody's business. */
function diagnosticCode({ action, diagnostic, remoteHost }: ReportedRecipient): string {
  if (remoteHost === '' && action === 'delivered') return '';
  const type = remoteHost === '' ? 'x-postern' : 'smtp';
  return foldedField('Diagnostic-Code', `${type}; ${cutBytes(diagnostic, maxDiagnosticBytes)}`);
}

/** A domain, or an address literal as RFC 5321 §4.1.3 writes it. */
export function mtaName(host: string): string {
  if (isIP(host) === 0) return host;
  return isIP(host) === 6 ? `[IPv6:${host}]` : `[${host}]`;
}
