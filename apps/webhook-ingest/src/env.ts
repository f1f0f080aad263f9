import { urlOf } from '@planasonix/core';
import { port, readEnv } from '@planasonix/service';
import { z } from 'zod';
import { isNetwork } from './peers.js';

const list = (text: string): readonly string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);

export const readIngestEnv = (source?: NodeJS.ProcessEnv) =>
  readEnv(
    {
      INGEST_PORT: port(3001),
      INGEST_URL: z.url('has to be a URL').optional(),
      /** Deliveries a second from one address, at each instance; 0: no limit, for senders may share a proxy. */
      INGEST_ADDRESS_RATE: z.coerce.number('has to be a number').int().min(0).max(1_000_000).default(0),
      /** Where trusted proxies put the client's certificate; they have to take away what a client writes there itself. */
      INGEST_CLIENT_CERT_HEADER: z
        .string()
        .regex(/^[A-Za-z0-9-]{1,100}$/, 'has to be the name of a header')
        .optional(),
      /** Whose `X-Forwarded-For` is believed: addresses and networks, separated by commas. */
      INGEST_TRUSTED_PROXIES: z
        .string()
        .default('')
        .transform(list)
        .refine((networks) => networks.every(isNetwork), 'has to be addresses or networks: 10.0.0.7,10.1.0.0/16'),
    },
    source,
  );
export type IngestEnv = ReturnType<typeof readIngestEnv>;

/** Where this instance, or its neighbour on this machine, listens. */
export const localBase = (env: IngestEnv): string => urlOf(env.HOST, env.INGEST_PORT);

/** What senders are given: vendors sign it. */
export const publicBase = (env: IngestEnv): string => (env.INGEST_URL ?? localBase(env)).replace(/\/+$/, '');
