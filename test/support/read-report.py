"""Reads delivery status notifications with Python's email package, as a bounce handler would, and prints of each what
such a handler looks at: one line of JSON per file. The files are messages with LF or CRLF line ends. Fails on anything
that does not parse."""

import email
import email.policy
import json
import sys

policy = email.policy.SMTPUTF8.clone(linesep="\n", refold_source="none")


def fields(part):
    return {name: str(value) for name, value in part.items()}


def groups(part):
    if part.get_content_type() == "message/delivery-status":
        return [fields(each) for each in part.get_payload()]
    # The package takes RFC 6533's form for a message; its bytes are groups of fields all the same.
    body = part.as_bytes(policy=policy).decode("utf-8").split("\n\n", 1)[1]
    return [fields(email.message_from_string(text, policy=policy)) for text in body.strip().split("\n\n")]


def text_of(part):
    if part.is_multipart():
        return part.get_payload(0).as_bytes(policy=policy).decode("utf-8")
    return part.get_payload(decode=True).decode("utf-8")


def read(path):
    with open(path, "rb") as file:
        message = email.message_from_bytes(file.read(), policy=policy)
    for part in message.walk():
        if part.defects:
            raise SystemExit(f"{path}: {part.get_content_type()}: {part.defects}")
    parts = list(message.iter_parts())
    per_message, *per_recipient = groups(parts[1])
    return {
        "header": fields(message),
        "type": message.get_content_type(),
        "reportType": message.get_param("report-type"),
        "partTypes": [part.get_content_type() for part in parts],
        "text": parts[0].get_content(),
        "message": per_message,
        "recipients": per_recipient,
        "original": text_of(parts[2]) if len(parts) > 2 else None,
    }


for path in sys.argv[1:]:
    print(json.dumps(read(path)))
