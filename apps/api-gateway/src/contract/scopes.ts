export const SCOPES = [
  'streams:read',
  'streams:write',
  'streams:operate',
  'connections:read',
  'connections:write',
  'pipelines:read',
  'pipelines:write',
  'dlq:read',
  'dlq:write',
  'admin:organization',
] as const;
export type Scope = (typeof SCOPES)[number];

/** Who asks: a live key and the one workspace that it belongs to. */
export interface Caller {
  readonly keyId: string;
  readonly workspaceId: string;
  readonly scopes: readonly string[];
  /** The first key of the installation: only it may make workspaces. */
  readonly first: boolean;
}

export const may = (caller: Caller, scope: Scope): boolean =>
  caller.scopes.includes(scope) || caller.scopes.includes('admin:organization');
