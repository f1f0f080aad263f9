import { Inject } from '@nestjs/common';
import { z } from 'zod';
import { allRoutes, Api, Route, route } from '../contract/route.js';
import { SourceCatalog } from '../sources/source-catalog.js';
import { INGEST_BASE } from '../streams/ingest-base.js';
import { openApi } from './document.js';

const getOpenApi = route({
  method: 'GET',
  path: '/openapi.json',
  id: 'getOpenApi',
  tag: 'System',
  summary: 'This document',
  description: 'OpenAPI 3.1. The configs of announced source types are in it.',
  scope: 'public',
  status: 200,
  answer: z.looseObject({ openapi: z.string(), paths: z.record(z.string(), z.unknown()) }),
  answerDescription: 'The document.',
});

@Api()
export class OpenApiController {
  private made: { readonly of: object; readonly document: object } | null = null;

  constructor(
    @Inject(SourceCatalog) private readonly catalog: SourceCatalog,
    @Inject(INGEST_BASE) private readonly ingestBase: string,
  ) {}

  @Route(getOpenApi)
  async document() {
    // The document is there also when the store is not; then without the announced configs.
    const types = await this.catalog.all().catch(() => null);
    if (this.made === null || this.made.of !== types) {
      const document = openApi(allRoutes(), [...(types?.values() ?? [])], this.ingestBase);
      if (types === null) return document;
      this.made = { of: types, document };
    }
    return this.made.document;
  }
}
