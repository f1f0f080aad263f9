import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { ApiError } from '../contract/api-error.js';

const TAG_BYTES = 16;

/** What a cursor belongs to: a list, its workspace, its filters. */
export interface Listing {
  readonly list: string;
  readonly workspaceId: string;
  readonly filters?: Readonly<Record<string, string | undefined>>;
}

/** Opaque places in lists: the last id of a page, authenticated together with the listing it belongs to (trap 36). */
export class Cursors {
  private readonly key: Buffer;

  /** @param secret the installation's ENCRYPTION_KEY; a key of its own is derived from it. */
  constructor(secret: string) {
    this.key = Buffer.from(hkdfSync('sha256', Buffer.from(secret, 'base64'), '', 'planasonix cursors', 32));
  }

  write(of: Listing, last: string): string {
    return Buffer.concat([this.tag(of, last), Buffer.from(last)]).toString('base64url');
  }

  /** @throws ApiError `invalid_cursor` for one that is broken, or was made for another listing. */
  read(of: Listing, cursor: string | undefined): string | null {
    if (cursor === undefined) return null;
    const bytes = Buffer.from(cursor, 'base64url');
    // Node's decoder passes over what is not base64url; the one true spelling is asked for.
    if (bytes.length <= TAG_BYTES || bytes.toString('base64url') !== cursor) throw new ApiError('invalid_cursor');
    const last = bytes.subarray(TAG_BYTES).toString();
    if (!timingSafeEqual(bytes.subarray(0, TAG_BYTES), this.tag(of, last))) throw new ApiError('invalid_cursor');
    return last;
  }

  private tag(of: Listing, last: string): Buffer {
    const filters = Object.entries(of.filters ?? {})
      .filter(([, value]) => value !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const text = JSON.stringify([of.list, of.workspaceId, filters, last]);
    return createHmac('sha256', this.key).update(text).digest().subarray(0, TAG_BYTES);
  }
}

/** One more than asked for tells whether there is a next page. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly cursor: string | null;
}

/**
 * Reads a page, newest first.
 * @param read up to `limit` rows before the given id.
 */
export async function pageThrough<T extends { id: string }>(
  cursors: Cursors,
  of: Listing,
  query: { readonly limit: number; readonly cursor?: string | undefined },
  read: (limit: number, before: string | null) => Promise<readonly T[]>,
): Promise<Page<T>> {
  const rows = await read(query.limit + 1, cursors.read(of, query.cursor));
  const shown = rows.slice(0, query.limit);
  const more = rows.length > query.limit;
  return { rows: shown, cursor: more ? cursors.write(of, shown.at(-1)!.id) : null };
}
