import { urlOf } from '@planasonix/core';
import { EnvError, port, readEnv } from '@planasonix/service';
import { z } from 'zod';
import { isNetwork } from './peers.js';
import type { TlsFiles } from './tls.js';

const list = (text: string): readonly string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);

export function readIngestEnv(source?: NodeJS.ProcessEnv) {
  const env = readEnv(
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
      /** TLS at the door itself: PEM files of its certificate, with those that lead to its root, and of its key. */
      INGEST_TLS_CERT_FILE: z.string().optional(),
      INGEST_TLS_KEY_FILE: z.string().optional(),
      /** Whose `X-Forwarded-For` is believed: addresses and networks, separated by commas. */
      INGEST_TRUSTED_PROXIES: z
        .string()
        .default('')
        .transform(list)
        .refine((networks) => networks.every(isNetwork), 'has to be addresses or networks: 10.0.0.7,10.1.0.0/16'),
    },
    source,
  );
  const { INGEST_TLS_CERT_FILE: cert, INGEST_TLS_KEY_FILE: key, INGEST_URL: url } = env;
  const problems = [
    ...((cert === undefined) === (key === undefined)
      ? []
      : ['INGEST_TLS_CERT_FILE and INGEST_TLS_KEY_FILE are needed together']),
    // The names in the certificate are no addresses of this machine: what senders are to dial has to be said.
    ...(cert === undefined || url?.startsWith('https:')
      ? []
      : ['INGEST_URL has to be the https:// address of the door where INGEST_TLS_CERT_FILE is set']),
  ];
  if (problems.length > 0) throw new EnvError(problems);
  return env;
}
export type IngestEnv = ReturnType<typeof readIngestEnv>;

/** `null`: a proxy, or nobody, ends TLS. */
export const tlsFiles = ({ INGEST_TLS_CERT_FILE: cert, INGEST_TLS_KEY_FILE: key }: IngestEnv): TlsFiles | null =>
  cert === undefined || key === undefined ? null : { cert, key };

/** Where this instance, or its neighbour on this machine, listens. */
export function localBase(env: IngestEnv): string {
  const plain = urlOf(env.HOST, env.INGEST_PORT);
  return tlsFiles(env) === null ? plain : plain.replace(/^http:/, 'https:');
}

/** What senders are given: vendors sign it. */
export const publicBase = (env: IngestEnv): string => (env.INGEST_URL ?? localBase(env)).replace(/\/+$/, '');
