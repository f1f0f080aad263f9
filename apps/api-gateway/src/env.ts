import { urlOf } from '@planasonix/core';
import { port, readEnv, type ServiceEnv } from '@planasonix/service';
import { z } from 'zod';

/** What the gateway reads beside what every app does. */
export const GATEWAY_SHAPE = {
  PORT: port(3000),
  INGEST_PORT: port(3001),
  INGEST_URL: z.url('has to be a URL').optional(),
  PLANASONIX_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{8,512}$/, 'has to be 8 to 512 visible ASCII characters')
    .optional(),
  RATE_LIMIT_PER_MINUTE: z.coerce.number('has to be a number').int().min(1).max(1_000_000_000).default(600),
};

export type GatewayEnv = ServiceEnv & z.infer<z.ZodObject<typeof GATEWAY_SHAPE>>;

export const gatewayEnv = (source?: NodeJS.ProcessEnv): GatewayEnv => readEnv(GATEWAY_SHAPE, source);

/** What users are shown as the base of their ingest addresses. */
export const ingestBase = (env: GatewayEnv): string =>
  (env.INGEST_URL ?? urlOf(env.HOST, env.INGEST_PORT)).replace(/\/+$/, '');
