import { Inject } from '@nestjs/common';
import { StreamError, type JsonSchema } from '@planasonix/core';
import { ConnectionStore, hasMask, splitSecrets, type Connection, type SplitConfig } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError, badField } from '../contract/api-error.js';
import { Api, Route, type Call, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { refusal } from '../input/issues.js';
import { jsonSchema } from '../input/validate.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import { refuseMasks } from '../sources/config.js';
import { CONNECTION_CONFIGS, endpointsOf, weakerProtection, type ConnectionType } from './connection-config.js';
import * as routes from './connection-routes.js';
import { HostRules } from './host-rules.js';

type Json = Record<string, unknown>;
type Put = Input<typeof routes.putConnection>['body'];

/** How often what was read is read again, because others changed it. */
const TRIES = 5;

const SCHEMAS = Object.fromEntries(
  Object.entries(CONNECTION_CONFIGS).map(([type, schema]) => [type, jsonSchema(schema)]),
) as Record<ConnectionType, JsonSchema>;

const shown = (row: Connection) => ({
  id: row.id,
  name: row.name,
  type: row.type,
  config: row.config,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
});

@Api()
export class ConnectionController {
  constructor(
    @Inject(ConnectionStore) private readonly connections: ConnectionStore,
    @Inject(Cursors) private readonly cursors: Cursors,
    @Inject(HostRules) private readonly hosts: HostRules,
  ) {}

  @Route(routes.listConnections)
  async list(@Validated() { query, call }: Input<typeof routes.listConnections>) {
    const { workspaceId } = call.caller;
    const { rows, cursor } = await pageThrough(
      this.cursors,
      { list: 'connections', workspaceId },
      query,
      (limit, before) => this.connections.list(workspaceId, limit, before),
    );
    return { data: rows.map(shown), meta: { cursor } };
  }

  @Route(routes.createConnection)
  async create(@Validated() { body, call }: Input<typeof routes.createConnection>) {
    const split = splitSecrets(SCHEMAS[body.type], body.config);
    refuseMasks(split, 'config');
    await this.hosts.check(body.config);
    const row = await this.connections.create(actorOf(call), input(body, split));
    return shown(row);
  }

  @Route(routes.getConnection)
  async get(@Validated() { params, call }: Input<typeof routes.getConnection>) {
    return shown(await this.existing(call.caller.workspaceId, params.id));
  }

  @Route(routes.putConnection)
  async put(@Validated() { params, body, call }: Input<typeof routes.putConnection>) {
    for (let tries = 0; tries < TRIES; tries++) {
      const row = await this.replaced(call, params.id, body);
      if (row !== 'changed') return shown(row);
    }
    throw new ApiError('superseded', {
      message: 'The connection went on being changed by others.',
      hint: 'Try again.',
    });
  }

  /** `changed`: somebody else's change came between, and the secrets that masks stand for are others. */
  private async replaced(call: Call, id: string, body: Put): Promise<Connection | 'changed'> {
    const before = await this.existing(call.caller.workspaceId, id);
    if (before.type !== body.type)
      throw badField('type', `must stay ${before.type}`, 'Create another connection for another type.');
    const earlier = this.earlier(before, body.config);
    if (hasMask(body.config)) refuseNewPlaces(before.config, body.config);
    const split = splitSecrets(SCHEMAS[body.type], body.config, earlier);
    refuseMasks(split, 'config');
    await this.hosts.check(body.config);
    const row = await this.connections.update(
      actorOf(call),
      before,
      input(body, split),
      secretsChanged(SCHEMAS[body.type], earlier, split),
    );
    if (row === null) throw new ApiError('not_found');
    return row;
  }

  @Route(routes.deleteConnection)
  async remove(@Validated() { params, call }: Input<typeof routes.deleteConnection>) {
    const row = await this.connections.remove(actorOf(call), params.id);
    if (row === null) throw new ApiError('not_found');
    return { id: row.id, deleted: true };
  }

  /** What the masks of `next` stand for. Where nobody can read that any more, all secrets may be given anew. */
  private earlier(before: Connection, next: Json): Json {
    try {
      return this.connections.settings(before).config;
    } catch (error) {
      if (error instanceof StreamError && !hasMask(next)) return {};
      throw error;
    }
  }

  private async existing(workspaceId: string, id: string): Promise<Connection> {
    const row = await this.connections.get(workspaceId, id);
    if (row === null) throw new ApiError('not_found');
    return row;
  }
}

const input = (body: { name: string; type: string }, split: SplitConfig) => ({
  name: body.name,
  type: body.type,
  config: split.shown,
  secrets: split.secrets,
});

/**
 * Whoever may change a connection but not read its password must not be able to have it sent to a place of theirs, nor
 * where anybody on the way can read it.
 */
function refuseNewPlaces(before: Json, after: Json): void {
  const known = new Set(endpointsOf(before).map(placeOf));
  const foreign = endpointsOf(after).find((one) => !known.has(placeOf(one)));
  if (foreign !== undefined)
    throw refusal([
      {
        field: foreign.field,
        issue: 'is another host or port, and a masked secret is not sent to it',
        hint: 'Give the secrets again together with the new place.',
      },
    ]);
  const weaker = weakerProtection(before, after);
  if (weaker !== null)
    throw refusal([
      {
        field: `config.${weaker}`,
        issue: 'may protect the connection less than before, and a masked secret is not sent over it',
        hint: 'Give the secrets again together with it.',
      },
    ]);
}

const placeOf = ({ host, port }: { host: string; port: number }): string => `${host.toLowerCase()}:${port}`;

const secretsChanged = (schema: JsonSchema, earlier: Json, split: SplitConfig): boolean =>
  splitSecrets(schema, earlier).secrets !== split.secrets;
