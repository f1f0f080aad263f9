import type { StreamStore } from '@planasonix/store';
import { ApiError } from '../contract/api-error.js';
import type { KnownSource } from '../sources/source-catalog.js';

type Json = Readonly<Record<string, unknown>>;

/** Keys of a config that the type's schema marks with `x-exclusive`: no two streams of a connection may say the same. */
export function exclusiveKeys({ config_schema: schema }: Pick<KnownSource, 'config_schema'>): string[] {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Json>);
  return properties.filter(([, of]) => of['x-exclusive'] === true).map(([key]) => key);
}

/**
 * What only one stream can have at its source is asked for by this one alone, as far as this workspace goes: two that are
 * made in the same moment meet at the source, which says so.
 * @param of.earlier what it says already stays
 * @throws ApiError 409 `source_taken`, which names the other stream
 */
export async function expectExclusive(
  streams: Pick<StreamStore, 'named'>,
  workspaceId: string,
  source: Pick<KnownSource, 'config_schema'>,
  of: {
    readonly id: string | null;
    readonly connectionId: string | null;
    readonly config: Json;
    readonly earlier?: Json;
  },
): Promise<void> {
  if (of.connectionId === null) return;
  for (const key of exclusiveKeys(source)) {
    const value = of.config[key];
    if (typeof value !== 'string' || value === of.earlier?.[key]) continue;
    const other = await streams.named(workspaceId, of.connectionId, { key, value, except: of.id });
    if (other !== null)
      throw new ApiError('source_taken', {
        message: `config.${key}: is that of the stream ${other.name} (${other.id}), which reads from the same connection.`,
        hint: `Give each stream a ${key} of its own, or leave it out.`,
        details: [{ field: `config.${key}`, issue: 'is that of another stream' }],
      });
  }
}
