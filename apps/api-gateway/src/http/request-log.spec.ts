import type { Log } from '@planasonix/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { setPass, type Pass } from './pass.js';
import { logAction, nameRequest, requestLog, withRequest } from './request-log.js';

function lines() {
  const written: object[] = [];
  const write = (fields: object): void => void written.push(fields);
  const log: Log = { debug: write, info: write, warn: write, error: write };
  return { written, log };
}

describe('the log lines of a request', () => {
  it('carry its id, however deep and late they are written, and not that of another one', async () => {
    const { written, log } = lines();
    const named = requestLog(log);
    const request = (id: string): Promise<void> =>
      new Promise((resolve) =>
        withRequest(() => {
          nameRequest(id);
          const late = async (): Promise<void> => {
            await new Promise((go) => setImmediate(go));
            for (const level of ['debug', 'info', 'warn', 'error'] as const) named[level]({ of: id }, level);
          };
          void late().then(resolve);
        }),
      );
    await Promise.all(['req-1', 'req-2', 'req-3'].map(request));
    expect(written).toHaveLength(12);
    for (const line of written as { of: string; request_id: string }[]) expect(line.request_id).toBe(line.of);
    named.warn({ of: 'nobody' }, 'outside');
    expect(written.at(-1)).toEqual({ of: 'nobody' });
  });

  it('an operator action is one line with the id, and a read is none', () => {
    const { written, log } = lines();
    const ask = (method: string): void => {
      const request = { method, params: { id: 'str_1' } } as unknown as FastifyRequest;
      setPass(request, { requestId: 'req-9', route: { id: 'stopStream' }, caller: null } as unknown as Pass);
      logAction(log, request, { statusCode: 200, elapsedTime: 1.4 } as FastifyReply);
    };
    ask('GET');
    ask('HEAD');
    expect(written).toEqual([]);
    ask('POST');
    expect(written).toEqual([expect.objectContaining({ request_id: 'req-9', action: 'stopStream', id: 'str_1' })]);
  });
});
