import { z } from 'zod';

/** What every app reads of its environment. The only place that looks at `process.env`. */
const base = {
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  DATABASE_URL: z
    .string('is needed: the Postgres of the system, postgres://user:password@host:port/database')
    .regex(/^postgres(ql)?:\/\//, 'has to begin with postgres://'),
  REDIS_URL: z.string('is needed: redis://host:port').regex(/^rediss?:\/\//, 'has to begin with redis://'),
  ENCRYPTION_KEY: z
    .string('is needed: 32 bytes in base64 (openssl rand -base64 32)')
    .refine(
      (text) => Buffer.from(text, 'base64').length === 32,
      'has to be 32 bytes in base64 (openssl rand -base64 32)',
    ),
  /** Earlier keys that still open: base64, or `id:base64`, separated by commas. */
  ENCRYPTION_KEYS_OLD: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((key) => key.trim().replace(/^[0-9a-f]{8}:/, ''))
        .filter(Boolean),
    ),
  OUTBOUND_POLICY: z.enum(['allow-private', 'public-only']).optional(),
  HOST: z.string().optional(),
  HEALTH_PORT: port(0),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  METRICS_TRANSPORT: z.enum(['redis'], 'can be "redis" in this version').default('redis'),
};

/** A port as text; 0 is any free one. */
export function port(fallback: number) {
  return z.coerce.number('has to be a port number').int().min(0).max(65_535).default(fallback);
}

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
 * Reads and checks the environment: the shared part and what the app adds. All problems are reported at once.
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
  return {
    ...(result.data as z.infer<z.ZodObject<Shape>>),
    ...env,
    OUTBOUND_POLICY: env.OUTBOUND_POLICY ?? (production ? 'public-only' : 'allow-private'),
    HOST: env.HOST ?? (production ? '0.0.0.0' : '127.0.0.1'),
  } as unknown as ServiceEnv & z.infer<z.ZodObject<Shape>>;
}
