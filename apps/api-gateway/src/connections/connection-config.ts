import { z } from 'zod';

/** Config of each connection type, as users write it: camelCase, secrets `writeOnly`. Hosts are judged by the outbound policy. */
const text = (description: string, max = 1000) => z.string().min(1).max(max).meta({ description });
const secret = (description: string) => z.string().max(10_000).meta({ description, writeOnly: true });
const host = z
  .string()
  .min(1)
  .max(255)
  .meta({ description: 'Host name or address; checked against the outbound policy.', example: 'db.example.com' });
const port = (preset: number) => z.int().min(1).max(65_535).default(preset);
const pem = (what: string) =>
  z
    .string()
    .max(100_000)
    .optional()
    .meta({ description: `${what}, PEM.` });
const secretPem = z.string().max(100_000).optional().meta({ description: 'Client key, PEM.', writeOnly: true });

/** From none to all. */
const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

const tls = {
  sslMode: z
    .enum(SSL_MODES)
    .default('prefer')
    .meta({ description: '`verify-full` checks the certificate and the host name.' }),
  sslRootCert: pem('Certificate authority'),
  sslCert: pem('Client certificate'),
  sslKey: secretPem,
};

const database = (preset: number, databaseRequired: boolean) =>
  z.strictObject({
    host,
    port: port(preset),
    database: databaseRequired ? text('Database.', 200) : text('Database.', 200).optional(),
    user: text('User.', 200),
    password: secret('Password.').optional(),
    ...tls,
  });

const broker = z
  .string()
  .regex(/^(\[[0-9A-Fa-f:.]+\]|[^\s:/@]{1,253}):[0-9]{1,5}$/, 'must be host:port')
  .meta({ description: 'host:port' });

export const CONNECTION_CONFIGS = {
  postgres: database(5432, true),
  mysql: database(3306, false),
  mariadb: database(3306, false),
  sqlserver: database(1433, true),
  kafka: z.strictObject({
    brokers: z.array(broker).min(1).max(100),
    sasl: z
      .strictObject({
        mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
        username: text('User.', 200),
        password: secret('Password.'),
      })
      .optional(),
    tls: z.boolean().default(false),
    sslRootCert: tls.sslRootCert,
    sslCert: tls.sslCert,
    sslKey: tls.sslKey,
  }),
  redis: z.strictObject({
    host,
    port: port(6379),
    database: z.int().min(0).max(1_000_000).optional(),
    user: text('User.', 200).optional(),
    password: secret('Password.').optional(),
    tls: z.boolean().default(false),
  }),
} as const;

export const CONNECTION_TYPES = Object.keys(CONNECTION_CONFIGS) as (keyof typeof CONNECTION_CONFIGS)[];
export type ConnectionType = keyof typeof CONNECTION_CONFIGS;

/** Where a config dials to, with the field that says so. */
export function endpointsOf(
  config: Readonly<Record<string, unknown>>,
): { field: string; host: string; port: number; database?: string }[] {
  if (Array.isArray(config['brokers']))
    return (config['brokers'] as string[]).map((broker, i) => {
      const at = broker.lastIndexOf(':');
      return { field: `config.brokers.${i}`, host: broker.slice(0, at), port: Number(broker.slice(at + 1)) };
    });
  const { database } = config;
  const place = { field: 'config.host', host: String(config['host']), port: Number(config['port']) };
  return [typeof database === 'string' ? { ...place, database } : place];
}

type Config = Readonly<Record<string, unknown>>;

/**
 * The field by which `after` protects what is sent less than `before` does, or may, or `null`. Whose word a certificate
 * takes is for who knows the secret: another authority vouches for another server, none for any.
 */
export function weakerProtection(before: Config, after: Config): string | null {
  const mode = (config: Config) => SSL_MODES.findIndex((one) => one === config['sslMode']);
  if (mode(after) < mode(before)) return 'ssl_mode';
  if (before['tls'] === true && after['tls'] !== true) return 'tls';
  const authority = (config: Config) => config['sslRootCert'] || null;
  if (isJudged(before) && authority(before) !== authority(after)) return 'ssl_root_cert';
  // `plain` sends the password itself, `scram` only proves that it is known.
  return mechanism(before)?.startsWith('scram') && mechanism(after) === 'plain' ? 'sasl.mechanism' : null;
}

/** Whether a certificate was checked at all: where none was, any authority is more than that. */
const isJudged = ({ sslMode, sslRootCert, tls }: Config): boolean =>
  sslMode === 'verify-ca' ||
  sslMode === 'verify-full' ||
  tls === true ||
  (sslMode === 'require' && Boolean(sslRootCert));

const mechanism = (config: Config): string | undefined =>
  (config['sasl'] as { readonly mechanism: string } | undefined)?.mechanism;
