/**
 * The words of notifications: a text file of the operator's, or ours. Reads it with a fault that names the line, and
 * fills its placeholders in. Pure but for readTemplate. The form:
 *
 *   # a comment, anywhere
 *   [failure]
 *   Subject: Mail to {hostname} failed
 *
 *   Any text, to the next section.
 *   {recipients}
 *
 * Sections: failure, delay, success, postmaster; what is left out is ours. `{{` is a brace.
 */
import { readFileSync } from 'node:fs';

import { describeError, PosternError } from '../../base/errors.js';

import type { NotificationKind } from './duties.js';

export interface Words {
  readonly subject: string;
  /** Lines joined by \n. */
  readonly text: string;
}

export type Template = Readonly<Record<NotificationKind, Words>>;

export const placeholders = [
  'hostname', 'sender', 'recipients', 'queueId', 'arrivedAt', 'postmaster', 'retryUntil', 'returned',
] as const; // prettier-ignore
type Placeholder = (typeof placeholders)[number];
export type Values = Readonly<Record<Placeholder, string>>;

/** In a subject these would be several lines, or say nothing. */
const onlyInText: ReadonlySet<string> = new Set(['recipients', 'returned']);
/** Ten times what anybody writes; it goes with every notification. */
const maxTemplateBytes = 64 * 1024;
const maxSubjectChars = 200;

const kinds: readonly string[] = ['failure', 'delay', 'success', 'postmaster'] satisfies NotificationKind[];

/** @throws PosternError CONFIG_INVALID, with file and line */
export function readTemplate(file: string): Template {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new PosternError('CONFIG_INVALID', `notifications.template: ${describeError(error)}`, error);
  }
  const read = parseTemplate(bytes);
  if (read.fault !== undefined) throw new PosternError('CONFIG_INVALID', `${file}:${read.fault}`);
  return read.template;
}

type Parsed =
  | { readonly template: Template; readonly fault?: undefined }
  /** `3: what is wrong, what was expected` */
  | { readonly fault: string };

export function parseTemplate(bytes: Buffer): Parsed {
  if (bytes.length > maxTemplateBytes)
    return { fault: `1: ${bytes.length} bytes; expected at most ${maxTemplateBytes}` };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { fault: '1: not UTF-8' };
  }
  const sections = new Map<string, Words>();
  for (const section of sectionsOf(text.split(/\r?\n/))) {
    const fault = section.fault ?? addSection(sections, section);
    if (fault !== undefined) return { fault };
  }
  return { template: { ...defaultTemplate, ...Object.fromEntries(sections) } };
}

interface Section {
  readonly name: string;
  readonly line: number;
  readonly lines: { readonly number: number; readonly text: string }[];
  readonly fault?: string;
}

function sectionsOf(lines: readonly string[]): Section[] {
  const sections: Section[] = [];
  for (const [index, text] of lines.entries()) {
    const line = index + 1;
    const name = /^\[([^\]]*)\]\s*$/.exec(text)?.[1];
    if (text.startsWith('#')) continue;
    if (name !== undefined) sections.push({ name, line, lines: [] });
    else if (sections.length > 0) sections.at(-1)?.lines.push({ number: line, text });
    else if (text.trim() !== '')
      return [{ name: '', line, lines: [], fault: `${line}: text before a section; expected [failure], [delay], [success] or [postmaster]` }]; // prettier-ignore
  }
  return sections;
}

/** What is wrong with it, or undefined when it has been added. */
function addSection(sections: Map<string, Words>, { name, line, lines }: Section): string | undefined {
  if (!kinds.includes(name)) return `${line}: [${name}]; expected [${kinds.join('], [')}]`;
  if (sections.has(name)) return `${line}: a second [${name}]; expected one of each`;
  const [first, ...rest] = lines.filter(({ text }, index) => index > 0 || text.trim() !== '');
  const subject = /^Subject:\s*(.*?)\s*$/i.exec(first?.text ?? '')?.[1] ?? '';
  if (first === undefined || subject === '')
    return `${first?.number ?? line}: [${name}] begins without a subject; expected \`Subject: …\``;
  if (subject.length > maxSubjectChars)
    return `${first.number}: a subject of ${subject.length} characters; expected at most ${maxSubjectChars}`;
  const fault =
    faultOf(subject, first.number, name, true) ??
    firstOf(rest, (each) => faultOf(each.text, each.number, name, false));
  if (fault !== undefined) return fault;
  const text = trimBlankLines(rest.map((each) => each.text.trimEnd())).join('\n');
  if (text === '') return `${line}: [${name}] has no text; expected some below its subject`;
  sections.set(name, { subject, text });
  return undefined;
}

function firstOf<T>(items: readonly T[], of: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = of(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function trimBlankLines(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => line !== '');
  const last = lines.findLastIndex((line) => line !== '');
  return first < 0 ? [] : lines.slice(first, last + 1);
}

/** `{{`, a placeholder, or a brace that is neither. */
const braces = /\{\{|\{([A-Za-z]+)\}|\{/g;

function faultOf(text: string, line: number, kind: string, isSubject: boolean): string | undefined {
  for (const [found, name] of text.matchAll(braces)) {
    if (found === '{{') continue;
    if (name === undefined)
      return `${line}: a lone {; expected a placeholder such as {sender}, or {{ for a brace`;
    if (!placeholders.some((known) => known === name))
      return `${line}: {${name}}; expected one of {${placeholders.join('}, {')}}`;
    if (name === 'retryUntil' && kind !== 'delay')
      return `${line}: {retryUntil} in [${kind}]; expected in [delay] alone`;
    if (isSubject && onlyInText.has(name)) return `${line}: {${name}} in a subject; expected it in the text`;
  }
  return undefined;
}

export function fill(text: string, values: Values): string {
  return text.replaceAll(braces, (_found, name: string | undefined) => {
    const known = placeholders.find((each) => each === name);
    return known === undefined ? '{' : values[known];
  });
}

export const defaultTemplate: Template = {
  failure: {
    subject: 'Undelivered mail: your message has come back',
    text: `This is the mail system at {hostname}.

The message that you sent on {arrivedAt}
could not be delivered to:

{recipients}

It will not be tried again for these addresses. What stands below each of
them is the reason; it often says what to do. Check how the address is
written, or send this notification to somebody who can help.

{returned} If you write about it to
<{postmaster}>, please name the queue id {queueId}.`,
  },
  delay: {
    subject: 'Delayed mail: your message is still waiting',
    text: `This is the mail system at {hostname}.

There is nothing that you have to do, and no need to send it again.

The message that you sent on {arrivedAt}
could not be delivered yet to:

{recipients}

It is tried again until {retryUntil}.
If that does not help either, you will get another notification.

The queue id of the message is {queueId}, the postmaster
here is <{postmaster}>.`,
  },
  success: {
    subject: 'Delivered mail: your message has arrived',
    text: `This is the mail system at {hostname}.

You asked to be told what becomes of the message that you sent on
{arrivedAt}. This is what became of it for:

{recipients}

'Handed on' means that it was given to a mail system that does not send
notifications of success; unless it fails there, you will hear no more.

The queue id of the message was {queueId}.`,
  },
  postmaster: {
    subject: 'Postmaster: a notification could not be delivered',
    text: `This is the mail system at {hostname}.

A notification of ours could not be delivered to the sender that it was
meant for:

{recipients}

Its queue id was {queueId}. {returned}
Most of these answer forged senders and need no action.`,
  },
};
