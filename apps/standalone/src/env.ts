import { isIP } from 'node:net';

/** What the launcher itself reads of the environment; everything else passes through to the apps as it is. */
export interface LaunchEnv {
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  /** Where the gateway listens. */
  readonly host: string;
  readonly port: number;
  /** Where webhooks are taken in. */
  readonly ingestPort: number;
  readonly apiKey: string | null;
  readonly encryptionKey: string | null;
  /** Processes per connector. */
  readonly workers: number;
  /** Names of the connectors that run; `null`: all. */
  readonly connectors: readonly string[] | null;
  /** Started by npm: when npm is gone, so are we. */
  readonly underNpm: boolean;
  readonly inherited: Readonly<Record<string, string>>;
}

const LIMITS = { PORT: [1, 65_535, 3000], INGEST_PORT: [1, 65_535, 3001], WORKERS: [1, 64, 1] } as const;

/** All that a program which is run on the caller's behalf finds as the caller has it. */
export const inheritedEnv = (source: NodeJS.ProcessEnv = process.env): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(source).filter((entry): entry is [string, string] => !!entry[1]));

/** @throws Error naming every variable that is wrong. */
export function readLaunchEnv(source: NodeJS.ProcessEnv = process.env): LaunchEnv {
  const problems: string[] = [];
  const text = (name: string): string | null => source[name]?.trim() || null;
  const whole = (name: keyof typeof LIMITS): number => {
    const [least, most, usual] = LIMITS[name];
    const given = text(name);
    if (given === null) return usual;
    const value = /^\d+$/.test(given) ? Number(given) : Number.NaN;
    if (!(value >= least && value <= most)) problems.push(`${name} must be a whole number from ${least} to ${most}`);
    return value;
  };
  const encryptionKey = text('ENCRYPTION_KEY');
  if (encryptionKey !== null && Buffer.from(encryptionKey, 'base64').length !== 32)
    problems.push('ENCRYPTION_KEY must be 32 bytes in base64 (openssl rand -base64 32)');
  const host = text('HOST') ?? (source.NODE_ENV === 'production' ? '0.0.0.0' : '127.0.0.1');
  if (host !== 'localhost' && isIP(host) === 0)
    problems.push(`HOST is the address to listen on, and "${host}" is none: unset it, or HOST=127.0.0.1`);
  const env: LaunchEnv = {
    databaseUrl: text('DATABASE_URL'),
    redisUrl: text('REDIS_URL'),
    host,
    port: whole('PORT'),
    ingestPort: whole('INGEST_PORT'),
    apiKey: text('PLANASONIX_API_KEY'),
    encryptionKey,
    workers: whole('WORKERS'),
    connectors:
      text('CONNECTORS')
        ?.split(',')
        .map((name) => name.trim()) ?? null,
    underNpm: source.npm_lifecycle_event !== undefined,
    inherited: inheritedEnv(source),
  };
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return env;
}
