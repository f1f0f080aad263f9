import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { writeAudit, type Actor } from './audit-store.js';
import type { ApiKey, Workspace } from './entities.js';
import { newId } from './id.js';
import { sql, type Db } from './sql.js';
import { insertWorkspace } from './workspace-store.js';

const ADMIN = 'admin:organization';
const NOT_REVOKED = '(revoked_at IS NULL OR revoked_at > clock_timestamp())';
const NOT_EXPIRED = '(expires_at IS NULL OR expires_at > clock_timestamp())';

/** Keys begin with this, so that scanners for leaked secrets can know them. */
const PREFIX = 'plnx_live_';

const digest = (key: string): string => createHash('sha256').update(key).digest('hex');

/** 256 random bits; only their SHA-256 is stored. */
const makeKey = (): string => PREFIX + randomBytes(32).toString('base64url');

/** What is kept of a key to tell it from others: no more than a quarter of what makes it secret (trap 35). */
export function shownPrefix(clear: string): string {
  const open = clear.startsWith(PREFIX) ? PREFIX.length : 0;
  return clear.slice(0, open + Math.min(4, Math.floor((clear.length - open) / 4)));
}

export interface NewKey {
  readonly key: ApiKey;
  /** The key itself: shown once, stored nowhere. */
  readonly clear: string;
}

export interface KeyInput {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | null;
  readonly first?: boolean;
}

/** Called in the transaction that makes a key, for what has to be there exactly if the key is. */
export type KeepKey = (db: Db, made: NewKey) => Promise<void>;
const nothingKept: KeepKey = () => Promise.resolve();

const about = (what: string, id: string) => ({
  action: `api_key.${what}`,
  resourceType: 'api_key',
  resourceId: id,
});
/** Never the key, nor its hash. */
const told = (row: ApiKey) => ({ name: row.name, prefix: row.prefix, scopes: row.scopes, expires_at: row.expires_at });

async function insertKey(db: Db, workspaceId: string, of: KeyInput): Promise<NewKey> {
  const clear = makeKey();
  const [key] = await sql<ApiKey>(
    db,
    `INSERT INTO api_keys (id, workspace_id, name, prefix, hash, scopes, expires_at, first) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *`,
    [newId('key'), workspaceId, of.name, shownPrefix(clear), digest(clear), of.scopes, of.expiresAt, of.first ?? false],
  );
  return { key: key!, clear };
}

/** Why a key stays as it is. `first_only`: the installation's first key is for its holder alone to rotate or revoke. */
export type KeyRefusal = 'missing' | 'last_admin' | 'first_only';

/** Takes back what the transaction did. */
class Refused extends Error {
  constructor(readonly why: KeyRefusal) {
    super(why);
  }
}

const refusal = (error: unknown): KeyRefusal => {
  if (error instanceof Refused) return error.why;
  throw error;
};

/** Who changes a key. */
export interface KeyActor extends Actor {
  /** With the installation's first key. */
  readonly first: boolean;
}

/** API keys, each change in one transaction with its audit entry. */
export class ApiKeyStore {
  constructor(private readonly store: DataSource) {}

  async create(actor: Actor, of: KeyInput, keep: KeepKey = nothingKept): Promise<NewKey> {
    return this.store.transaction(async (tx) => {
      const made = await insertKey(tx, actor.workspaceId, of);
      await writeAudit(tx, actor, { ...about('create', made.key.id), after: told(made.key) });
      await keep(tx, made);
      return made;
    });
  }

  /** A workspace with its first key; the entry stands in the log of the actor's own. */
  async createWorkspace(
    actor: Actor,
    name: string,
    keep: (db: Db, workspace: Workspace, made: NewKey) => Promise<void> = () => Promise.resolve(),
  ): Promise<{ readonly workspace: Workspace; readonly made: NewKey }> {
    return this.store.transaction(async (tx) => {
      const workspace = await insertWorkspace(tx, name);
      const made = await insertKey(tx, workspace.id, { name: 'first key', scopes: [ADMIN], expiresAt: null });
      await writeAudit(tx, actor, {
        action: 'workspace.create',
        resourceType: 'workspace',
        resourceId: workspace.id,
        after: { name, key_id: made.key.id },
      });
      await keep(tx, workspace, made);
      return { workspace, made };
    });
  }

  /** The live key, or `null` when it is unknown, revoked or expired: one answer for all of them. */
  async find(clear: string): Promise<ApiKey | null> {
    const hash = digest(clear);
    const [row] = await sql<ApiKey & { live: boolean; stale: boolean }>(
      this.store,
      `SELECT *, ${NOT_REVOKED} AND ${NOT_EXPIRED} AS live,
              last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS stale
       FROM api_keys WHERE hash = $1`,
      [hash],
    );
    if (row === undefined || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hash)) || !row.live) return null;
    if (row.stale)
      await sql(this.store, 'UPDATE api_keys SET last_used_at = clock_timestamp() WHERE id = $1', [row.id]);
    return row;
  }

  list(workspaceId: string, limit: number, before: string | null): Promise<ApiKey[]> {
    return sql<ApiKey>(
      this.store,
      `SELECT * FROM api_keys WHERE workspace_id = $1 AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
      [workspaceId, before, limit],
    );
  }

  /** Whether the key of a caller who was let in is still one that is. */
  async isLive(id: string): Promise<boolean> {
    const rows = await sql(this.store, `SELECT 1 FROM api_keys WHERE id = $1 AND ${NOT_REVOKED} AND ${NOT_EXPIRED}`, [
      id,
    ]);
    return rows.length > 0;
  }

  /**
   * `missing`: no such live key in the workspace. `last_admin`: a workspace without a key that may administer it could
   * never be entered again, and of those that end by themselves none would be left some day; of several that are revoked
   * at once one stays.
   */
  async revoke(actor: KeyActor, id: string): Promise<ApiKey | KeyRefusal> {
    return this.store
      .transaction(async (tx) => {
        await sql(tx, `SELECT 1 FROM workspaces WHERE id = $1 FOR UPDATE`, [actor.workspaceId]);
        const [row] = await sql<ApiKey>(
          tx,
          `UPDATE api_keys SET revoked_at = clock_timestamp() WHERE workspace_id = $1 AND id = $2 AND ${NOT_REVOKED} RETURNING *`,
          [actor.workspaceId, id],
        );
        if (row === undefined) throw new Refused('missing');
        if (row.first && !actor.first) throw new Refused('first_only');
        const [admins] = await sql<{ live: number; lasting: number }>(
          tx,
          `SELECT count(*)::int AS live, count(*) FILTER (WHERE expires_at IS NULL)::int AS lasting
           FROM api_keys WHERE workspace_id = $1 AND $2 = ANY(scopes) AND revoked_at IS NULL AND ${NOT_EXPIRED}`,
          [actor.workspaceId, ADMIN],
        );
        const left = row.expires_at === null ? admins!.lasting : admins!.live;
        if (row.scopes.includes(ADMIN) && left === 0) throw new Refused('last_admin');
        await writeAudit(tx, actor, { ...about('revoke', id), before: told(row) });
        return row;
      })
      .catch(refusal);
  }

  /** A new key of the same name and scopes; the old one lives on for `graceSeconds`. */
  async rotate(
    actor: KeyActor,
    id: string,
    graceSeconds: number,
    keep: KeepKey = nothingKept,
  ): Promise<NewKey | KeyRefusal> {
    return this.store
      .transaction(async (tx) => {
        const [old] = await sql<ApiKey>(
          tx,
          `UPDATE api_keys SET revoked_at = clock_timestamp() + make_interval(secs => $3)
           WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL AND ${NOT_EXPIRED} RETURNING *`,
          [actor.workspaceId, id, graceSeconds],
        );
        if (old === undefined) throw new Refused('missing');
        if (old.first && !actor.first) throw new Refused('first_only');
        const { name, scopes, expires_at: expiresAt, first } = old;
        const made = await insertKey(tx, actor.workspaceId, { name, scopes, expiresAt, first });
        const after = { ...told(made.key), new_id: made.key.id, grace_seconds: graceSeconds };
        await writeAudit(tx, actor, { ...about('rotate', id), after });
        await keep(tx, made);
        return made;
      })
      .catch(refusal);
  }

  /**
   * The installation's first key. Idempotent, also over several gateways that boot at once. One that its holder has
   * rotated or revoked stays so.
   * @returns the key itself when one had to be made, else `null`.
   */
  async ensureFirst(given: string | null): Promise<string | null> {
    return this.store.transaction(async (tx) => {
      await sql(tx, `SELECT pg_advisory_xact_lock(7205760)`);
      const [found] = await sql<{ workspace_id: string }>(
        tx,
        `SELECT workspace_id FROM api_keys WHERE first ORDER BY id LIMIT 1`,
      );
      if (given === null && found !== undefined) return null;
      if (given !== null) {
        // An earlier version kept more of it.
        const known = await sql(tx, 'UPDATE api_keys SET prefix = $2 WHERE hash = $1 RETURNING id', [
          digest(given),
          shownPrefix(given),
        ]);
        if (known.length > 0) return null;
      }
      let workspaceId = found?.workspace_id;
      if (workspaceId === undefined) {
        workspaceId = newId('ws');
        await sql(tx, `INSERT INTO workspaces (id, name) VALUES ($1, 'default')`, [workspaceId]);
      }
      const clear = given ?? makeKey();
      await sql(
        tx,
        `INSERT INTO api_keys (id, workspace_id, name, prefix, hash, scopes, first) VALUES ($1, $2, 'first key', $3, $4, '{admin:organization}', true)`,
        [newId('key'), workspaceId, shownPrefix(clear), digest(clear)],
      );
      return given === null ? clear : null;
    });
  }
}
