/** Where Postern does on purpose what an RFC does not say, for the reference that operators read. */
export const deviations = `## Where Postern deviates from the RFCs

- A sender is told of mail that fails (RFC 5321 §6.1) only within \`notifications.perSenderPerHour\` and \`perHour\`, so
  that forged senders are not flooded, and only where a route reaches him; otherwise the message is kept as \`failed\`
  for \`notifications.keepFailed\`. Senders at our own domains that would be refused at RCPT are not told.
- A message with our own name behind \`by\` in more than \`limits.ownReceivedHops\` \`Received:\` fields is refused with
  554 5.4.6 as a loop, long before the hundred fields of RFC 5321 §6.3.
- A message with a bare CR, a bare LF or a NUL is refused with 550 5.6.0 at its end (RFC 5321 §4.5.2 wants control
  characters passed on; §2.3.8 forbids a CR or LF alone): servers that disagree about line ends let mail be smuggled.
- A message by BDAT has the same checks of line ends, NULs and line lengths as one by DATA, since the next hop may speak
  DATA. One that does not end with CRLF is stored and passed on as it is; towards a hop that speaks DATA the CRLF is added.
- A BDAT whose size cannot be read is answered 501, and the session ends with 421: what follows cannot be told from commands.
- With \`policy.bareNewlines\` a CR or LF alone is made a CRLF instead, after the end of the message was found by
  CR LF . CR LF alone; a dot behind an LF alone is no stuffed one and stays. No such byte leaves for the next hop.
- AUTH= of MAIL is checked and forgotten: no client is trusted to name another submitter (RFC 4954 §5).
- CR CR LF . CR LF ends a message, which is refused like the others; the next MAIL of that session gets 421, since other
  servers see no end there.
- A message whose first line begins with a blank is refused with 550 5.6.0: it would continue our \`Received:\` field.
- Message data sent before the 354, and commands sent behind a 334, end the session with 554 (RFC 2920 §3.1).
- There is no listener that greets with 521 because it takes no mail at all (RFC 7504 §3): a host that takes none needs no
  listener. Domains that take none have \`recipients: none\`, and their recipients get 556.
- HTTP, TLS, SSH or a header line where a command belongs ends the session with 521.
- Local parts with \`%\`, \`!\` or a quoted \`@\` at the domains of \`domains\` are refused with 550: a next hop might route by
  them. So are address literals.
- AUTH LOGIN takes an initial response, which RFC 4954 §4 refuses for a mechanism in which the server speaks first.
- The -PLUS mechanisms are offered inside TLS 1.3 alone: before it RFC 9266 §4.2 wants the extended master secret, and
  Node does not say whether it was negotiated.
- A refused bearer token is told as \`invalid_token\` whatever is wrong with it (RFC 7628 §3.2.2); the log says what.
- TLS renegotiation is refused.
- Commands sent before the greeting, or behind EHLO, HELO, DATA or STARTTLS without waiting for the reply, end the session
  with 554 (\`policy.unauthorizedPipelining\`; RFC 2920 §3.1 forbids them).
- A session is ended with 421 between two messages after \`limits.transactions\` messages or \`limits.sessionAge\`, and while a
  worker is under stress a client has the shorter times of \`limits.stress\` (RFC 5321 §4.5.3.2 wants five minutes).
- A message declared 8BITMIME that has 8-bit bytes fails at a next hop without 8BITMIME; it is not converted.
`;
