/** Queue rows and details as text for people, in the column order of mailq. Pure. */
import type { QueueDetail, QueueRow } from '../base/messages.js';
import { formatBytes } from '../base/units.js';
import { columns, localTime, printable } from './output.js';

export interface QueuePage {
  readonly total: number;
  readonly messages: readonly QueueRow[];
}

export function describeList({ total, messages }: QueuePage, offset: number): string[] {
  if (total === 0) return ['The queue is empty.'];
  const heading = ['Queue ID', 'Size', 'Arrived', 'State', 'Next attempt', 'Sender'];
  const [headingLine = '', ...lines] = columns([heading, ...messages.map(rowCells)]);
  const blocks = messages.flatMap((row, index) => [lines[index] ?? '', ...row.recipients.map(recipientLine)]);
  return [headingLine, ...blocks, '', footer(total, messages, offset)];
}

function rowCells(row: QueueRow): string[] {
  const next = row.nextAttemptAt === null ? '-' : localTime(row.nextAttemptAt);
  return [row.id, formatBytes(row.bytes), localTime(row.arrivedAt), row.state, next, sender(row)];
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
  const facts: [string, string][] = [
    ['state', detail.state],
    ['size', formatBytes(detail.bytes)],
    ['arrived', localTime(detail.arrivedAt)],
    ['next attempt', detail.nextAttemptAt === null ? '-' : localTime(detail.nextAttemptAt)],
    ['attempts', String(detail.attempts)],
    ['from', sender(detail)],
    ['client', `${printable(detail.clientName)} [${printable(detail.clientAddress)}] on ${detail.listener}`],
    ['user', detail.user === '' ? '-' : printable(detail.user)],
    ['session', printable(detail.sessionId)],
    ['worker', String(detail.slot)],
  ];
  const header = detail.header
    .split(/\r?\n/)
    .map((line) => `  ${printable(line.replaceAll('\t', '  '))}`.trimEnd());
  return [
    detail.id,
    ...columns(facts.map(([name, value]) => [`  ${name}`, value])),
    '  recipients',
    ...detail.recipients.map(recipientLine),
    '',
    ...header,
    '',
  ];
}
