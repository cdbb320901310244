/** Test messages of the children: complete, with the last CRLF; mail-load.ts sends the same. @param {string} id @param {number} bytes */
export function messageOf(id, bytes) {
  const header = `From: <sender@client.test>\r\nSubject: test\r\nX-Test-Id: ${id}\r\n\r\n`;
  const line = `${id.padEnd(72, '-')}\r\n`;
  return Buffer.from(
    header + line.repeat(Math.max(1, Math.ceil((bytes - header.length) / line.length))),
    'latin1',
  );
}
