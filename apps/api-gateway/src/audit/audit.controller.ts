import { Inject } from '@nestjs/common';
import { AuditStore } from '@planasonix/store';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import { listAudit } from './audit-routes.js';

@Api()
export class AuditController {
  constructor(
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(Cursors) private readonly cursors: Cursors,
  ) {}

  @Route(listAudit)
  async list(@Validated() { query, call }: Input<typeof listAudit>) {
    const { workspaceId } = call.caller;
    const { rows, cursor } = await pageThrough(this.cursors, { list: 'audit', workspaceId }, query, (limit, before) =>
      this.audit.list(workspaceId, limit, before),
    );
    return {
      data: rows.map((row) => ({
        id: row.id,
        at: row.at.toISOString(),
        keyId: row.key_id,
        action: row.action,
        resourceType: row.resource_type,
        resourceId: row.resource_id,
        before: row.before ?? null,
        after: row.after ?? null,
        address: row.address,
        requestId: row.request_id,
      })),
      meta: { cursor },
    };
  }
}
