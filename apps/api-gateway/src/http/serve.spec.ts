import { PassThrough } from 'node:stream';
import type { Socket } from 'node:net';
import type { ApiErrorFilter } from './api-error.filter.js';
import { fastifyOptions } from './serve.js';

/** What a socket is told when Node gives its request up for the reason `code`. */
async function told(code: string): Promise<string> {
  const headers = { 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '4', 'x-ratelimit-reset': '1' };
  const limits = { ofAddress: () => Promise.resolve({ headers, retryAfter: null, unknown: false }) };
  const socket = new PassThrough();
  await fastifyOptions({} as ApiErrorFilter, limits).clientErrorHandler(
    Object.assign(new Error('x'), { code }),
    socket as unknown as Socket,
  );
  return String(socket.read());
}

describe('a request that does not come to a route', () => {
  it.each([
    ['ERR_HTTP_REQUEST_TIMEOUT', 'The request was not there whole within 15 s.'],
    ['HPE_INVALID_METHOD', 'This is not HTTP.'],
  ])('%s is told in the envelope: %s', async (code, message) => {
    const [head, body] = (await told(code)).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
    expect(head).toContain('x-ratelimit-remaining: 4');
    expect(JSON.parse(body!).error).toMatchObject({ code: 'invalid_request', message });
  });
});
