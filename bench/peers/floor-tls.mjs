/** The floor under every TLS handshake on Node: a bare node:tls server. `node floor-tls.mjs PORT CERTIFICATE KEY`. */
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';
import { createServer } from 'node:tls';

import { serve } from './floor-session.mjs';

const [port, certificate = '', key = ''] = [Number(argv[2]), argv[3], argv[4]];
createServer({ cert: readFileSync(certificate), key: readFileSync(key), minVersion: 'TLSv1.2' }, (socket) => {
  serve(socket, () => undefined);
})
  .on('tlsClientError', () => undefined)
  .listen({ port, host: '127.0.0.1', backlog: 4096 });
