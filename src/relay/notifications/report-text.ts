/** The part of a notification that people read: the template's words with the message's facts in them. Pure. */
import { formatDate } from '../../protocol/received.js';

import type { ReportedRecipient } from './delivery-status.js';
import { mtaName } from './delivery-status.js';
import { withoutControls } from './header-fields.js';
import type { Words, Values } from './template.js';
import { fill } from './template.js';

export interface TextFacts {
  readonly hostname: string;
  readonly postmaster: string;
  /** Of the message that this is about; in a report to the postmaster, of the notification that failed. */
  readonly queueId: string;
  readonly sender: string;
  readonly arrivedAtMs: number;
  readonly retryUntilMs: number | undefined;
  readonly returned: 'header' | 'whole' | 'nothing';
  readonly recipients: readonly ReportedRecipient[];
}

/** Named for people; the machine's part has all of them. */
const maxNamedRecipients = 50;
const textWidth = 72;

const returnedWords = {
  header: 'The header of the message is attached.',
  whole: 'The message is attached.',
  nothing: 'The message is not attached.',
} as const;

/** Subject in plain text, and the text with CRLF line ends. */
export function reportText(words: Words, facts: TextFacts): { subject: string; text: string } {
  const values: Values = {
    hostname: facts.hostname,
    sender: withoutControls(facts.sender),
    recipients: namedRecipients(facts.recipients),
    queueId: facts.queueId,
    arrivedAt: formatDate(new Date(facts.arrivedAtMs)),
    postmaster: facts.postmaster,
    retryUntil: facts.retryUntilMs === undefined ? '' : formatDate(new Date(facts.retryUntilMs)),
    returned: returnedWords[facts.returned],
  };
  return {
    subject: fill(words.subject, values),
    text: `${fill(words.text, values)}\n`.replaceAll('\n', '\r\n'),
  };
}

function namedRecipients(recipients: readonly ReportedRecipient[]): string {
  const named = recipients.slice(0, maxNamedRecipients).map(nameRecipient);
  const more = recipients.length - named.length;
  if (more > 0) named.push(`  and ${more} more`);
  return named.join('\n\n');
}

function nameRecipient(recipient: ReportedRecipient): string {
  return `  <${withoutControls(recipient.address)}>\n${indent(withoutControls(reasonOf(recipient)))}`;
}

function reasonOf({ action, expired, remoteHost, diagnostic }: ReportedRecipient): string {
  const host = remoteHost === '' ? '' : mtaName(remoteHost);
  if (action === 'delivered') return host === '' ? 'Delivered.' : `Delivered to ${host}.`;
  if (action === 'relayed') return host === '' ? 'Handed on.' : `Handed on to ${host}.`;
  const words = host === '' ? diagnostic : `${host} said: ${diagnostic}`;
  return expired ? `The time for its delivery is over. The last attempt ended with: ${words}` : words;
}

/** Broken at blanks; a word that is longer than the line has one for itself. */
function indent(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (word === '') continue;
    if (line !== '' && line.length + 1 + word.length > textWidth) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.map((each) => `      ${each}`).join('\n');
}
