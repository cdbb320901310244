/**
 * One spelling for user names and passwords, so that `é` typed on two keyboards is one password: the mapping and
 * normalisation steps of SASLprep (RFC 4013 §2.1, §2.2) and its ban on control characters. Left out are the tables of
 * unassigned code points (Unicode 3.2, older than the passwords people choose) and of bidirectional text: both only
 * ever refuse a password, and a client that applies them gets the same bytes for what it lets through. Full SASLprep
 * would lock out whoever has an emoji; none at all would make SCRAM clients, which prepare, disagree with PLAIN ones.
 */

/** Bytes of UTF-8. RFC 4616 §2 allows more; nobody types it, and hashing it is work for the asking. */
const maxBytes = 1024;

/** RFC 3454 tables B.1 (mapped to nothing) and C.1.2 (spaces that are not U+0020). */
const nothing = /\u00AD|\u034F|\u1806|[\u180B-\u180D]|[\u200B-\u200D]|\u2060|[\uFE00-\uFE0F]|\uFEFF/gu;
const spaces = /[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]/gu;
/** C.2 control characters, C.3 private use is let through, C.5 surrogates, C.6 what stands for broken text. */
const banned = /[\p{Cc}\p{Cs}\u06DD\u070F\u180E\u2028\u2029\u206A-\u206F\uFFF9-\uFFFD]/u;

/** Undefined when it is empty, too long, or has characters that no name or password has. */
export function prepareString(text: string): string | undefined {
  if (text.length > maxBytes) return undefined;
  const prepared = text.replace(nothing, '').replace(spaces, ' ').normalize('NFKC');
  if (prepared === '' || banned.test(prepared)) return undefined;
  return Buffer.byteLength(prepared) <= maxBytes ? prepared : undefined;
}
