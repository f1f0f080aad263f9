import { StreamError } from '@planasonix/core';
import type { ServedStream } from '@planasonix/store';
import { parseConfig, type WebhookConfig } from './config.js';
import { milliseconds } from './duration.js';
import { HIDDEN } from './header-names.js';
import { vendors, type Place, type Vendor } from './vendors/index.js';
import { endsAt, schemeOf, type Surroundings } from './verify/scheme-of.js';
import type { Scheme } from './verify/scheme.js';

/** Where a stream finds the id and the type of a delivery. */
export interface Places {
  readonly eventId: Place | null;
  readonly idIsSigned: boolean;
  readonly eventType: Place | null;
}

/** One stream as an instance serves it: its row, its config read, its scheme made. */
export interface Door {
  readonly id: string;
  readonly name: string;
  readonly row: ServedStream;
  readonly config: WebhookConfig;
  readonly scheme: Scheme;
  readonly places: Places;
  readonly handshake: NonNullable<Vendor['handshake']> | null;
  readonly windowMs: number;
  readonly queueMs: number;
  /** Headers that go into no event, in lower case, beside those whose names say what they carry. */
  readonly hidden: ReadonlySet<string>;
  /** When one of its secrets ends, ms; `null`: none does. */
  readonly secretEndsAt: number | null;
  /** It takes deliveries in. */
  readonly isOpen: boolean;
}

/** @throws StreamError `config_invalid`, `secrets_sealed`; Error for secrets that can't be keys. */
export function doorOf(row: ServedStream, around: Surroundings): Door {
  if (row.sealed !== null) throw new StreamError('secrets_sealed', row.sealed);
  const config = parseConfig(row.config);
  const { auth, dedupe } = config;
  const vendor = auth.type === 'preset' ? vendors.get(auth.preset)! : null;
  const scheme = schemeOf(auth, around);
  const { header: certificate } = around.certificates;
  scheme.warm?.();
  return {
    id: row.id,
    name: row.name,
    row,
    config,
    scheme,
    places: placesOf(config, vendor),
    handshake: vendor?.handshake ?? null,
    windowMs: milliseconds(dedupe.window),
    queueMs: milliseconds(config.queue_timeout),
    hidden: new Set([...HIDDEN, ...scheme.proofHeaders, ...(certificate === null ? [] : [certificate])]),
    secretEndsAt: endsAt(auth, around.clock.now()),
    isOpen: row.status === 'running' && row.desired === 'running',
  };
}

function placesOf({ auth, dedupe }: WebhookConfig, vendor: Vendor | null): Places {
  if (auth.type === 'hmac' && auth.id_header !== undefined)
    return { eventId: { header: auth.id_header.toLowerCase() }, idIsSigned: true, eventType: null };
  const header = dedupe.header === undefined ? null : { header: dedupe.header.toLowerCase() };
  return {
    eventId: vendor?.eventId ?? header,
    idIsSigned: vendor?.eventId ? vendor.idIsSigned : false,
    eventType: vendor?.eventType ?? null,
  };
}
