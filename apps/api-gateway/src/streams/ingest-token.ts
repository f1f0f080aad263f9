import { randomBytes } from 'node:crypto';
import type { KnownSource } from '../sources/source-catalog.js';

/** 192 random bits: the address of a stream, and not its credential. */
export const newIngestToken = (): string => randomBytes(24).toString('base64url');

/** The type's schema says that its streams have an address of their own. */
export const takesDeliveries = ({ config_schema: schema }: Pick<KnownSource, 'config_schema'>): boolean =>
  schema['x-ingest'] === true;
