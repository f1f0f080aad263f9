import type { SourceTypeRow, WorkerStore } from '@planasonix/store';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { ApiError } from '../contract/api-error.js';

const FRESH_MS = 2000;
/** Families that the page names: a filter by one of them is no mistake, also before a worker has announced it. */
export const DOCUMENTED_FAMILIES = ['postgres_cdc', 'mysql_cdc', 'sqlserver_cdc', 'kafka', 'webhook'] as const;

export interface KnownSource extends SourceTypeRow {
  readonly validate: ValidateFunction;
}

/** The source types that workers have announced; nothing here knows one by name. */
export class SourceCatalog {
  private cached: { readonly at: number; readonly types: ReadonlyMap<string, KnownSource> } | null = null;
  private readonly compiled = new Map<string, ValidateFunction>();
  private readonly ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true, verbose: true });

  constructor(
    private readonly workers: Pick<WorkerStore, 'sourceTypes'>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async all(): Promise<ReadonlyMap<string, KnownSource>> {
    if (this.cached !== null && this.now() - this.cached.at < FRESH_MS) return this.cached.types;
    const rows = await this.workers.sourceTypes();
    const types = new Map(rows.map((row) => [row.type, { ...row, validate: this.compile(row) }]));
    this.cached = { at: this.now(), types };
    return types;
  }

  /** @throws ApiError `source_type_unavailable` with those that can be had. */
  async get(type: string): Promise<KnownSource> {
    const types = await this.all();
    const found = types.get(type);
    if (found !== undefined) return found;
    const names = [...types.keys()];
    throw new ApiError('source_type_unavailable', {
      hint:
        names.length === 0
          ? 'No worker has announced a source type yet: start one.'
          : `Source types that can be had: ${names.join(', ')}.`,
      details: [{ field: 'source_type', issue: `must be one of ${names.join(', ') || '(none yet)'}` }],
    });
  }

  /** A type that can test a connection of this kind, one with live workers first. */
  async testerOf(connectionType: string): Promise<KnownSource | null> {
    const fitting = [...(await this.all()).values()].filter((one) => one.connection_types.includes(connectionType));
    return fitting.sort((a, b) => b.workers - a.workers)[0] ?? null;
  }

  /** Kept by the schema's text: a new version of a worker may announce another one. */
  private compile(row: SourceTypeRow): ValidateFunction {
    const { $schema: _, $id: __, ...schema } = row.config_schema;
    const text = JSON.stringify(schema);
    let validate = this.compiled.get(text);
    if (validate === undefined) {
      if (this.compiled.size > 100) this.compiled.clear();
      validate = this.ajv.compile(schema);
      this.compiled.set(text, validate);
    }
    return validate;
  }
}
