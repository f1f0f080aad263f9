import { urlOf } from '@planasonix/core';
import { port, readEnv } from '@planasonix/service';
import { z } from 'zod';

export const readIngestEnv = (source?: NodeJS.ProcessEnv) =>
  readEnv(
    {
      INGEST_PORT: port(3001),
      INGEST_URL: z.url('has to be a URL').optional(),
      /** Deliveries a second from one address, at each instance; 0: no limit, for senders may share a proxy. */
      INGEST_ADDRESS_RATE: z.coerce.number('has to be a number').int().min(0).max(1_000_000).default(0),
    },
    source,
  );
export type IngestEnv = ReturnType<typeof readIngestEnv>;

/** Where this instance, or its neighbour on this machine, listens. */
export const localBase = (env: IngestEnv): string => urlOf(env.HOST, env.INGEST_PORT);

/** What senders are given: vendors sign it. */
export const publicBase = (env: IngestEnv): string => (env.INGEST_URL ?? localBase(env)).replace(/\/+$/, '');
