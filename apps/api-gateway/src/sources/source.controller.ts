import { Inject } from '@nestjs/common';
import { Api, Route } from '../contract/route.js';
import { SourceCatalog } from './source-catalog.js';
import { listSourceTypes } from './source-routes.js';

@Api()
export class SourceController {
  constructor(@Inject(SourceCatalog) private readonly catalog: SourceCatalog) {}

  @Route(listSourceTypes)
  async list() {
    const types = [...(await this.catalog.all()).values()];
    return {
      data: types.map(({ type, connection_types, config_schema, workers }) => ({
        id: type,
        type: 'source_type',
        attributes: { connection_types, config_schema, live_workers: workers },
      })),
      meta: { page: { limit: types.length, cursor: null } },
    };
  }
}
