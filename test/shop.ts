/** A source for system tests: a database of its own, and the connection, pipeline and stream over it. */
import type { Stack, Answer } from './stack.js';
import { eventually } from '@planasonix/testing';

export interface SourceServer {
  readonly host: string;
  readonly port: number;
  readonly password: string;
}

export async function makeConnection(
  stack: Stack,
  server: SourceServer,
  database: string,
  name = 'source',
): Promise<string> {
  const made = await stack.api('POST', '/api/connections', {
    name,
    type: 'postgres',
    config: {
      host: server.host,
      port: server.port,
      database,
      user: 'postgres',
      password: server.password,
      sslMode: 'disable',
    },
  });
  if (made.status !== 201) throw new Error(`connection: ${made.status} ${made.text}`);
  return made.id;
}

export async function makePipeline(stack: Stack, name = 'pipeline', output?: object): Promise<string> {
  const made = await stack.api('POST', '/api/pipelines', output ? { name, output } : { name });
  if (made.status !== 201) throw new Error(`pipeline: ${made.status} ${made.text}`);
  return made.id;
}

export async function makeStream(
  stack: Stack,
  of: { name: string; connectionId: string; pipelineId: string; config: object },
): Promise<string> {
  const { name, connectionId, pipelineId, config } = of;
  const made = await stack.api('POST', '/api/streams', {
    name,
    sourceType: 'postgres_cdc',
    connectionId,
    pipelineId,
    config,
  });
  if (made.status !== 201) throw new Error(`stream: ${made.status} ${made.text}`);
  return made.id;
}

export const status = async (stack: Stack, id: string): Promise<string> =>
  (await stack.api('GET', `/api/streams/${id}`)).a?.status as string;

export async function until(stack: Stack, id: string, wanted: string, timeoutMs = 60_000): Promise<void> {
  await eventually(
    `${id} is ${wanted}`,
    async () => {
      const { a }: Answer = await stack.api('GET', `/api/streams/${id}`);
      if (a?.status === 'error' && wanted !== 'error') throw new Error(JSON.stringify(a.last_error));
      return a?.status === wanted;
    },
    { timeoutMs },
  );
}

export async function start(stack: Stack, id: string, timeoutMs = 60_000): Promise<void> {
  const answer = await stack.api('POST', `/api/streams/${id}/start`);
  if (answer.status !== 200) throw new Error(`start: ${answer.status} ${answer.text}`);
  await until(stack, id, 'running', timeoutMs);
}
