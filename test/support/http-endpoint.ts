/** An HTTP server for tests that answers as it is told and remembers what it was asked. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface HttpEndpoint {
  readonly url: string;
  /** Bodies of the requests, in order; '' for GET. */
  readonly requests: { readonly body: string; readonly authorization: string | undefined }[];
  /** What the next requests get. */
  answer: (response: ServerResponse, body: string) => void;
  close(): Promise<void>;
}

export async function startEndpoint(answer: HttpEndpoint['answer']): Promise<HttpEndpoint> {
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const endpoint: HttpEndpoint = {
    url: `http://127.0.0.1:${address.port}/`,
    requests: [],
    answer,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(Buffer.from(part));
    const body = Buffer.concat(parts).toString('utf8');
    endpoint.requests.push({ body, authorization: request.headers.authorization });
    endpoint.answer(response, body);
  }
  return endpoint;
}

export function json(value: unknown): HttpEndpoint['answer'] {
  return (response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value));
  };
}
