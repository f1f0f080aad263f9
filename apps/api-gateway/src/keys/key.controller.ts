import { Inject } from '@nestjs/common';
import {
  ApiKeyStore,
  type ApiKey,
  type KeyActor,
  type KeyRefusal,
  type NewKey,
  type Workspace,
} from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError } from '../contract/api-error.js';
import { Api, Route, type Call, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import * as routes from './key-routes.js';

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
const withKey = ({ key, clear }: NewKey) => ({ ...shown(key), key: clear });

const actor = (call: Call): KeyActor => ({ ...actorOf(call), first: call.caller.first });

function refused(why: KeyRefusal): ApiError {
  switch (why) {
    case 'missing':
      return new ApiError('not_found');
    case 'last_admin':
      return new ApiError('last_admin_key');
    case 'first_only':
      return new ApiError('forbidden', { message: 'Only the first key of the installation may do this.' });
  }
}

const entered = ({ id, name }: Workspace, { clear }: NewKey) => ({ id, name, key: clear });

@Api()
export class KeyController {
  constructor(
    @Inject(ApiKeyStore) private readonly keys: ApiKeyStore,
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
    const of = {
      name: body.name,
      scopes: [...new Set(body.scopes)],
      expiresAt: body.expiresAt ? new Date(body.expiresAt) : null,
    };
    return withKey(await this.keys.create(actorOf(call), of, (db, made) => call.keep(db, withKey(made))));
  }

  @Route(routes.deleteKey)
  async revoke(@Validated() { params, call }: Input<typeof routes.deleteKey>) {
    const row = await this.keys.revoke(actor(call), params.id);
    if (typeof row === 'string') throw refused(row);
    return { id: row.id, deleted: true };
  }

  @Route(routes.rotateKey)
  async rotate(@Validated() { params, body, call }: Input<typeof routes.rotateKey>) {
    const made = await this.keys.rotate(actor(call), params.id, body.graceSeconds, (db, one) =>
      call.keep(db, withKey(one)),
    );
    if (typeof made === 'string') throw refused(made);
    return withKey(made);
  }

  @Route(routes.createWorkspace)
  async createWorkspace(@Validated() { body, call }: Input<typeof routes.createWorkspace>) {
    const { workspace, made } = await this.keys.createWorkspace(actorOf(call), body.name, (db, one, first) =>
      call.keep(db, entered(one, first)),
    );
    return entered(workspace, made);
  }
}
