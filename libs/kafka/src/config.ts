import { StreamError, type ConnectionSettings } from '@planasonix/core';
import { z } from 'zod';

const BROKER = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/@]{1,253}):[0-9]{1,5}$/;

/** Config of a connection of type `kafka`, in camelCase or snake_case, secrets in the clear. */
const schema = z.object({
  brokers: z.array(z.string().regex(BROKER, 'must be host:port')).min(1).max(100),
  sasl: z
    .object({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
      username: z.string().min(1),
      password: z.string(),
    })
    .nullish(),
  tls: z.boolean().nullish(),
  sslRootCert: z.string().nullish(),
  sslCert: z.string().nullish(),
  sslKey: z.string().nullish(),
});

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** How to reach a cluster. */
export interface KafkaSettings {
  readonly brokers: readonly BrokerAddress[];
  readonly sasl: { readonly mechanism: string; readonly username: string; readonly password: string } | null;
  /** `null`: without TLS. PEM texts; an authority that is not given is one that the system trusts. */
  readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null } | null;
}

/** `host:port`, `[::1]:port` → its parts. */
export function brokerAddress(text: string): BrokerAddress {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) };
}

export const addressText = ({ host, port }: BrokerAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** @throws StreamError `config_invalid`; the message names fields, never their values. */
export function kafkaSettings({ config }: Pick<ConnectionSettings, 'config'>): KafkaSettings {
  const named = Object.fromEntries(Object.entries(config).map(([name, value]) => [camel(name), value]));
  const parsed = schema.safeParse(named);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'config'}: ${issue.message}`);
    throw new StreamError('config_invalid', `The connection is not right: ${problems.join('; ')}.`, {
      hint: 'Correct the connection.',
    });
  }
  const { brokers, sasl, tls, sslRootCert, sslCert, sslKey } = parsed.data;
  return {
    brokers: brokers.map(brokerAddress),
    sasl: sasl ?? null,
    tls: tls ? { ca: sslRootCert || null, cert: sslCert || null, key: sslKey || null } : null,
  };
}
