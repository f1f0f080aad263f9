import { z } from 'zod';

const isUrl = (text: string, protocol: RegExp): boolean => {
  try {
    const { protocol: found, hostname } = new URL(text);
    return protocol.test(found) && hostname !== '';
  } catch {
    return false;
  }
};

const isKey = (text: string): boolean => /^[A-Za-z0-9+/_-]+=*$/.test(text) && Buffer.from(text, 'base64').length === 32;

/** A port as text; 0 is any free one. */
export const port = (fallback: number) =>
  z
    .string()
    .regex(/^\d{1,5}$/, 'has to be a port number')
    .transform(Number)
    .refine((number) => number <= 65_535, 'has to be a port number')
    .default(fallback);

const POSTGRES = 'has to look like postgres://user:password@host:port/database';
const BROKER = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/@]{1,253}):\d{1,5}$/;
const REDIS = 'has to look like redis://host:port';
const KEY = 'has to be 32 bytes in base64 (openssl rand -base64 32)';

/** What every app reads of its environment. The only place of a service that looks at `process.env`. */
const base = {
  NODE_ENV: z
    .enum(['development', 'production', 'test'], 'has to be development, production or test')
    .default('development'),
  DATABASE_URL: z
    .string('is needed: the Postgres of the system, postgres://user:password@host:port/database')
    .refine((text) => isUrl(text, /^postgres(ql)?:$/), POSTGRES),
  REDIS_URL: z.string('is needed: redis://host:port').refine((text) => isUrl(text, /^rediss?:$/), REDIS),
  ENCRYPTION_KEY: z.string('is needed: 32 bytes in base64 (openssl rand -base64 32)').refine(isKey, KEY),
  /** Earlier keys that still open: base64, or `id:base64`, separated by commas. */
  ENCRYPTION_KEYS_OLD: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((key) => key.trim().replace(/^[0-9a-f]{8}:/, ''))
        .filter(Boolean),
    )
    .refine((keys) => keys.every(isKey), 'has to be keys of 32 bytes in base64, separated by commas'),
  OUTBOUND_POLICY: z.enum(['allow-private', 'public-only'], 'has to be allow-private or public-only').optional(),
  HOST: z.string().optional(),
  HEALTH_PORT: port(0),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'has to be fatal, error, warn, info, debug, trace or silent',
    )
    .default('info'),
  /** For tests alone: a file that names the step at which the process ends itself, see `crash-point.ts`. */
  CRASH_FILE: z.string().optional(),
  METRICS_TRANSPORT: z.enum(['redis', 'kafka'], 'has to be redis or kafka').default('redis'),
  /** With `METRICS_TRANSPORT=kafka`: how counters reach it. */
  METRICS_KAFKA_BROKERS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((broker) => broker.trim())
        .filter(Boolean),
    )
    .refine((brokers) => brokers.every((broker) => BROKER.test(broker)), 'has to be host:port,host:port'),
  METRICS_KAFKA_TLS: z
    .enum(['true', 'false'], 'has to be true or false')
    .default('false')
    .transform((text) => text === 'true'),
  METRICS_KAFKA_MECHANISM: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'], 'has to be plain, scram-sha-256 or scram-sha-512')
    .default('scram-sha-512'),
  METRICS_KAFKA_USERNAME: z.string().optional(),
  METRICS_KAFKA_PASSWORD: z.string().optional(),
};

type BaseShape = typeof base;
export type ServiceEnv = Omit<z.infer<z.ZodObject<BaseShape>>, 'OUTBOUND_POLICY' | 'HOST'> & {
  readonly OUTBOUND_POLICY: 'allow-private' | 'public-only';
  readonly HOST: string;
};

export class EnvError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`The environment is not right:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'EnvError';
  }
}

/**
 * Reads and checks the environment: the shared part and what the app adds. All problems are reported at once, none
 * with the value that was given.
 * @throws EnvError
 */
export function readEnv<Shape extends z.ZodRawShape>(
  shape: Shape,
  source: NodeJS.ProcessEnv = process.env,
): ServiceEnv & z.infer<z.ZodObject<Shape>> {
  // An empty variable is an absent one: `FOO=` in a compose file means "not set".
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''));
  const result = z.object({ ...base, ...shape }).safeParse(given);
  if (!result.success)
    throw new EnvError(result.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`));
  const env = result.data as z.infer<z.ZodObject<BaseShape>>;
  const production = env.NODE_ENV === 'production';
  if (env.METRICS_TRANSPORT === 'kafka' && env.METRICS_KAFKA_BROKERS.length === 0)
    throw new EnvError(['METRICS_KAFKA_BROKERS is needed where METRICS_TRANSPORT is kafka: host:port,host:port']);
  if (production && env.CRASH_FILE !== undefined) throw new EnvError(['CRASH_FILE is for tests, not for production']);
  return {
    ...(result.data as z.infer<z.ZodObject<Shape>>),
    ...env,
    OUTBOUND_POLICY: env.OUTBOUND_POLICY ?? (production ? 'public-only' : 'allow-private'),
    HOST: env.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
  } as unknown as ServiceEnv & z.infer<z.ZodObject<Shape>>;
}
