import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The first schema. Leases and expiries are compared with the database's own clock everywhere. */
export class Initial1763900000000 implements MigrationInterface {
  readonly name = 'Initial1763900000000';

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('The first schema is not taken back: drop the database instead.'));
  }
}

const STATEMENTS = [
  `CREATE TABLE workspaces (
     id text PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,

  `CREATE TABLE api_keys (
     id text PRIMARY KEY, workspace_id text NOT NULL REFERENCES workspaces(id), name text NOT NULL, prefix text NOT NULL,
     hash text NOT NULL UNIQUE, scopes text[] NOT NULL, first boolean NOT NULL DEFAULT false, expires_at timestamptz,
     revoked_at timestamptz, last_used_at timestamptz, created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE INDEX api_keys_page ON api_keys (workspace_id, id DESC)`,

  `CREATE TABLE connections (
     id text PRIMARY KEY, workspace_id text NOT NULL REFERENCES workspaces(id), name text NOT NULL, type text NOT NULL,
     config jsonb NOT NULL, secrets text, created_at timestamptz NOT NULL DEFAULT now(),
     updated_at timestamptz NOT NULL DEFAULT now(), UNIQUE (workspace_id, name))`,
  `CREATE INDEX connections_page ON connections (workspace_id, id DESC)`,

  `CREATE TABLE pipelines (
     id text PRIMARY KEY, workspace_id text NOT NULL REFERENCES workspaces(id), name text NOT NULL, output jsonb NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), UNIQUE (workspace_id, name))`,
  `CREATE INDEX pipelines_page ON pipelines (workspace_id, id DESC)`,

  `CREATE TABLE streams (
     id text PRIMARY KEY, workspace_id text NOT NULL REFERENCES workspaces(id), name text NOT NULL, source_type text NOT NULL,
     pipeline_id text NOT NULL REFERENCES pipelines(id), connection_id text REFERENCES connections(id),
     config jsonb NOT NULL, secrets text, ingest_token text UNIQUE,
     status text NOT NULL DEFAULT 'created', desired_status text NOT NULL DEFAULT 'idle',
     generation integer NOT NULL DEFAULT 0, observed_generation integer NOT NULL DEFAULT 0, epoch integer NOT NULL DEFAULT 0,
     lease_owner text, lease_expires_at timestamptz, last_error jsonb, blocked jsonb, snapshot jsonb,
     owned jsonb NOT NULL DEFAULT '{}', on_lost_position text, deleting_at timestamptz,
     created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), UNIQUE (workspace_id, name))`,
  `CREATE INDEX streams_page ON streams (workspace_id, id DESC)`,
  `CREATE INDEX streams_due ON streams (source_type, lease_expires_at) WHERE desired_status IN ('running', 'paused')`,
  `CREATE INDEX streams_connection ON streams (connection_id)`,
  `CREATE INDEX streams_pipeline ON streams (pipeline_id)`,

  `CREATE TABLE stream_positions (
     stream_id text NOT NULL REFERENCES streams(id) ON DELETE CASCADE, partition text NOT NULL, position text NOT NULL,
     epoch integer NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (stream_id, partition))`,

  `CREATE TABLE outbox (
     id bigserial PRIMARY KEY, stream_id text NOT NULL, source_type text NOT NULL, generation integer NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now())`,

  `CREATE TABLE source_types (
     type text PRIMARY KEY, connection_types text[] NOT NULL, config_schema jsonb NOT NULL,
     updated_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE workers (
     id text PRIMARY KEY, source_type text NOT NULL, host text NOT NULL, pid integer NOT NULL,
     started_at timestamptz NOT NULL DEFAULT now(), last_seen_at timestamptz NOT NULL DEFAULT now())`,

  `CREATE TABLE drafts (
     id text PRIMARY KEY, workspace_id text NOT NULL, kind text NOT NULL, body text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now())`,

  `CREATE TABLE forgotten (
     id text PRIMARY KEY, workspace_id text NOT NULL, stream_id text NOT NULL, source_type text NOT NULL, spec text NOT NULL,
     remaining jsonb NOT NULL, tries integer NOT NULL DEFAULT 0, next_try_at timestamptz NOT NULL DEFAULT now(),
     last_error text, created_at timestamptz NOT NULL DEFAULT now())`,

  `CREATE TABLE idempotency (
     workspace_id text NOT NULL, key_id text NOT NULL, key text NOT NULL, route text NOT NULL, body_hash text NOT NULL,
     status integer, answer text, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (key_id, key))`,

  `CREATE TABLE audit_log (
     id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), workspace_id text NOT NULL, key_id text,
     action text NOT NULL, resource_type text NOT NULL, resource_id text, before jsonb, after jsonb, address text, request_id text)`,
  `CREATE INDEX audit_log_page ON audit_log (workspace_id, id DESC)`,
  `CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN RAISE EXCEPTION 'audit_log is append-only'; END $$`,
  `CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
     FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()`,

  `CREATE TABLE stream_metrics (
     stream_id text PRIMARY KEY REFERENCES streams(id) ON DELETE CASCADE, windows jsonb NOT NULL, computed_at timestamptz NOT NULL)`,
];
