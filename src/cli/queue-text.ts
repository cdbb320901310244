/** Queue rows and details as text for people, in the column order of mailq. Pure. */
import type { QueueDetail, QueueRow } from '../base/messages.js';
import { formatBytes } from '../base/units.js';
import { count } from './amounts.js';
import { columns, localTime, printable } from './output.js';

export interface QueuePage {
  readonly total: number;
  readonly messages: readonly QueueRow[];
  /** False: a worker was missing or still read its files. */
  readonly complete?: boolean;
}

export function describeList(
  page: QueuePage,
  { offset, isFiltered }: { readonly offset: number; readonly isFiltered: boolean },
): string[] {
  const { total, messages, complete } = page;
  const note = complete === false ? [incomplete] : [];
  if (total === 0) return [isFiltered ? 'No message fits.' : 'The queue is empty.', ...note];
  const heading = ['Queue ID', 'Size', 'Arrived', 'State', 'Next attempt', 'Sender'];
  const [headingLine = '', ...lines] = columns([heading, ...messages.map(rowCells)]);
  const blocks = messages.flatMap((row, index) => [lines[index] ?? '', ...recipientLines(row)]);
  return [headingLine, ...blocks, '', footer(total, messages, offset), ...note];
}

const incomplete =
  'A part of the queue is not in this: a worker is missing, or still reads its files. `postern status` says more.';

function recipientLines({ recipients, moreRecipients = 0 }: QueueRow): string[] {
  const more = moreRecipients === 0 ? [] : [`    and ${count(moreRecipients, 'recipient')} more`];
  return [...recipients.map(recipientLine), ...more];
}

function rowCells(row: QueueRow): string[] {
  return [row.id, formatBytes(row.bytes), localTime(row.arrivedAt), row.state, nextAttempt(row), sender(row)];
}

/** What would be tried and has no time for it waits for an operator to thaw its route. */
function nextAttempt({ nextAttemptAt, state }: QueueRow): string {
  if (nextAttemptAt !== null) return localTime(nextAttemptAt);
  return state === 'active' || state === 'deferred' ? 'frozen' : '-';
}

/** The null reverse-path of a notification, as mail people know it. */
function sender(row: QueueRow): string {
  return row.from === '' ? '<>' : printable(row.from);
}

function recipientLine({ address, route, state, lastReply }: QueueRow['recipients'][number]): string {
  const reply = lastReply === '' ? '' : `: ${printable(lastReply)}`;
  return `    ${printable(address)} (${route}, ${state}${reply})`;
}

function footer(total: number, messages: readonly QueueRow[], offset: number): string {
  const bytes = formatBytes(messages.reduce((sum, row) => sum + row.bytes, 0));
  if (messages.length === total) return `${total} ${total === 1 ? 'message' : 'messages'}, ${bytes}`;
  const next = offset + messages.length;
  const more = next < total ? `; --offset ${next} shows more` : '';
  return `${messages.length} of ${total} messages${more}`;
}

export function describeDetail(detail: QueueDetail): string[] {
  const header = detail.header
    .split(/\r?\n/)
    .map((line) => `  ${printable(line.replaceAll('\t', '  '))}`.trimEnd());
  return [
    detail.id,
    ...columns(factsOf(detail).map(([name, value]) => [`  ${name}`, value])),
    '  recipients',
    ...detail.recipients.flatMap((recipient) => [recipientLine(recipient), ...dsnLines(recipient, detail)]),
    ...attemptLines(detail),
    '',
    ...header,
    '',
  ];
}

function factsOf(detail: QueueDetail): [string, string][] {
  const { state, parked, ret, envelopeId } = detail;
  return [
    ['state', state],
    ...(parked === '' ? [] : [['parked', printable(parked)] satisfies [string, string]]),
    ['size', formatBytes(detail.bytes)],
    ['arrived', localTime(detail.arrivedAt)],
    ['next attempt', nextAttempt(detail)],
    ['attempts', String(detail.attempts)],
    ['from', sender(detail)],
    ...(ret === '' ? [] : [['ret', printable(ret)] satisfies [string, string]]),
    ...(envelopeId === '' ? [] : [['envid', printable(envelopeId)] satisfies [string, string]]),
    ['client', `${printable(detail.clientName)} [${printable(detail.clientAddress)}] on ${detail.listener}`],
    ['user', detail.user === '' ? '-' : printable(detail.user)],
    ['session', printable(detail.sessionId)],
    ['worker', String(detail.slot)],
  ];
}

/** What RCPT said of notifications, below its recipient. */
function dsnLines({ address }: QueueRow['recipients'][number], { dsn }: QueueDetail): string[] {
  return dsn
    .filter((entry) => entry.address === address)
    .map(({ notify, originalRecipient }) => {
      const wanted =
        notify === undefined ? [] : [`notify ${notify.length === 0 ? 'NEVER' : notify.join(',')}`];
      const given = originalRecipient === undefined ? [] : [`orcpt ${printable(originalRecipient)}`];
      return `      ${[...wanted, ...given].join(', ')}`;
    });
}

function attemptLines({ attemptLog }: QueueDetail): string[] {
  if (attemptLog.length === 0) return [];
  const rows = attemptLog.map(({ at, route, hop, reply }) => [
    `    ${localTime(at)}`,
    printable(route),
    printable(hop),
    printable(reply),
  ]);
  return ['  last attempts', ...columns(rows)];
}
