/** smtp-server as its documentation shows it: every message is read to its end and dropped. `node smtp-server.mjs PORT TLS-PORT CERTIFICATE KEY`. */
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';
import { SMTPServer } from 'smtp-server';

const [port, tlsPort, certificate = '', key = ''] = [Number(argv[2]), Number(argv[3]), argv[4], argv[5]];
const cert = { cert: readFileSync(certificate), key: readFileSync(key) };

/** @param {boolean} secure @param {number} at */
function listen(secure, at) {
  const server = new SMTPServer({
    ...cert,
    secure,
    authOptional: true,
    disableReverseLookup: true,
    size: 40 * 2 ** 20,
    onData(stream, _session, callback) {
      stream.on('end', () => callback(null, 'Ok'));
      stream.resume();
    },
  });
  server.on('error', () => undefined);
  server.listen(at, '127.0.0.1');
}

listen(false, port);
listen(true, tlsPort);
