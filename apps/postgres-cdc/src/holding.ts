import type { Owned } from '@planasonix/core';
import { z } from 'zod';

export type Kind = 'slot' | 'publication';

/** Where something was made. */
export interface Place {
  /** System identifier, as text. */
  readonly server: string;
  readonly database: string;
}

export interface Holding {
  readonly kind: Kind;
  readonly name: string;
  /** `null`: made by a version that did not remember it. */
  readonly place: Place | null;
  /** In use; `false`: something else has taken its place, and it is yet to be given back. */
  readonly now: boolean;
}

const KINDS: readonly Kind[] = ['slot', 'publication'];
const places = z.object({ server: z.string(), database: z.string() });
const listed = z.array(z.object({ kind: z.enum(['slot', 'publication']), name: z.string(), place: places.nullable() }));

/** From what the store has: `slot` and `publication` are those in use, `<kind>_at` says where, `earlier` lists the others. */
export function holdingsOf(owned: Owned): readonly Holding[] {
  const used = KINDS.flatMap((kind): Holding[] => {
    const [name, at] = [owned[kind], owned[`${kind}_at`]];
    return name === undefined
      ? []
      : [{ kind, name, place: at === undefined ? null : places.parse(JSON.parse(at)), now: true }];
  });
  const earlier = listed.parse(JSON.parse(owned['earlier'] ?? '[]'));
  return [...used, ...earlier.map((one) => ({ ...one, now: false }))];
}

export function ownedOf(all: readonly Holding[]): Owned {
  const earlier = all.filter(({ now }) => !now).map(({ kind, name, place }) => ({ kind, name, place }));
  const owned: Record<string, string> = earlier.length === 0 ? {} : { earlier: JSON.stringify(earlier) };
  for (const { kind, name, place, now } of all) {
    if (!now) continue;
    owned[kind] = name;
    if (place !== null) owned[`${kind}_at`] = JSON.stringify(place);
  }
  return owned;
}
