import { Inject } from '@nestjs/common';
import { ApiKeyStore, AuditStore, WorkspaceStore, type ApiKey } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError } from '../contract/api-error.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import * as routes from './key-routes.js';

const ADMIN = 'admin:organization';

const shown = (row: ApiKey) => ({
  id: row.id,
  name: row.name,
  prefix: row.prefix,
  scopes: row.scopes,
  expiresAt: row.expires_at?.toISOString() ?? null,
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
  revokedAt: row.revoked_at?.toISOString() ?? null,
  createdAt: row.created_at.toISOString(),
});
/** For the audit log: never the key, nor its hash. */
const told = (row: ApiKey) => ({ name: row.name, prefix: row.prefix, scopes: row.scopes, expires_at: row.expires_at });

@Api()
export class KeyController {
  constructor(
    @Inject(ApiKeyStore) private readonly keys: ApiKeyStore,
    @Inject(WorkspaceStore) private readonly workspaces: WorkspaceStore,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(Cursors) private readonly cursors: Cursors,
  ) {}

  @Route(routes.listKeys)
  async list(@Validated() { query, call }: Input<typeof routes.listKeys>) {
    const { workspaceId } = call.caller;
    const { rows, cursor } = await pageThrough(
      this.cursors,
      { list: 'api-keys', workspaceId },
      query,
      (limit, before) => this.keys.list(workspaceId, limit, before),
    );
    return { data: rows.map(shown), meta: { cursor } };
  }

  @Route(routes.createKey)
  async create(@Validated() { body, call }: Input<typeof routes.createKey>) {
    const { key, clear } = await this.keys.create({
      workspaceId: call.caller.workspaceId,
      name: body.name,
      scopes: [...new Set(body.scopes)],
      expiresAt: body.expiresAt ? new Date(body.expiresAt) : null,
    });
    await this.audit.append(actorOf(call), {
      action: 'api_key.create',
      resourceType: 'api_key',
      resourceId: key.id,
      after: told(key),
    });
    return { ...shown(key), key: clear };
  }

  @Route(routes.deleteKey)
  async revoke(@Validated() { params, call }: Input<typeof routes.deleteKey>) {
    const { workspaceId } = call.caller;
    const row = await this.keys.revoke(workspaceId, params.id);
    if (row === 'missing') throw new ApiError('not_found');
    if (row === 'last_admin') throw new ApiError('last_admin_key');
    await this.audit.append(actorOf(call), {
      action: 'api_key.revoke',
      resourceType: 'api_key',
      resourceId: row.id,
      before: told(row),
    });
    return { id: row.id, deleted: true };
  }

  @Route(routes.rotateKey)
  async rotate(@Validated() { params, body, call }: Input<typeof routes.rotateKey>) {
    const made = await this.keys.rotate(call.caller.workspaceId, params.id, body.graceSeconds);
    if (made === null) throw new ApiError('not_found');
    await this.audit.append(actorOf(call), {
      action: 'api_key.rotate',
      resourceType: 'api_key',
      resourceId: params.id,
      after: { ...told(made.key), new_id: made.key.id, grace_seconds: body.graceSeconds },
    });
    return { ...shown(made.key), key: made.clear };
  }

  @Route(routes.createWorkspace)
  async createWorkspace(@Validated() { body, call }: Input<typeof routes.createWorkspace>) {
    const workspace = await this.workspaces.create(body.name);
    const { key, clear } = await this.keys.create({
      workspaceId: workspace.id,
      name: 'first key',
      scopes: [ADMIN],
      expiresAt: null,
    });
    await this.audit.append(actorOf(call), {
      action: 'workspace.create',
      resourceType: 'workspace',
      resourceId: workspace.id,
      after: { name: workspace.name, key_id: key.id },
    });
    return { id: workspace.id, name: workspace.name, key: clear };
  }
}
