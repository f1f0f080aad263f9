import type { LastError } from '@planasonix/core';
import { Column, Entity, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';

/** One class per table that is read as a whole. The columns' meaning is told in the first migration and in README. */

@Entity('workspaces')
export class Workspace {
  @PrimaryColumn('text') id!: string;
  @Column('text') name!: string;
  @Column('timestamptz') created_at!: Date;
}

@Entity('api_keys')
export class ApiKey {
  @PrimaryColumn('text') id!: string;
  @Column('text') workspace_id!: string;
  @Column('text') name!: string;
  @Column('text') prefix!: string;
  @Column('text') hash!: string;
  @Column('text', { array: true }) scopes!: string[];
  @Column('boolean') first!: boolean;
  @Column('timestamptz', { nullable: true }) expires_at!: Date | null;
  @Column('timestamptz', { nullable: true }) revoked_at!: Date | null;
  @Column('timestamptz', { nullable: true }) last_used_at!: Date | null;
  @Column('timestamptz') created_at!: Date;
}

@Entity('connections')
export class Connection {
  @PrimaryColumn('text') id!: string;
  @Column('text') workspace_id!: string;
  @Column('text') name!: string;
  @Column('text') type!: string;
  @Column('jsonb') config!: Record<string, unknown>;
  @Column('text', { nullable: true }) secrets!: string | null;
  @Column('timestamptz') created_at!: Date;
  @Column('timestamptz') updated_at!: Date;
}

@Entity('pipelines')
export class Pipeline {
  @PrimaryColumn('text') id!: string;
  @Column('text') workspace_id!: string;
  @Column('text') name!: string;
  @Column('jsonb') output!: Record<string, unknown>;
  @Column('timestamptz') created_at!: Date;
  @Column('timestamptz') updated_at!: Date;
}

/** A position that is being set: each partition with its place, and since when (RFC 3339). */
export interface WantedPosition {
  readonly since: string;
  readonly positions: readonly (readonly [partition: string, position: string])[];
}

@Entity('streams')
export class Stream {
  @PrimaryColumn('text') id!: string;
  @Column('text') workspace_id!: string;
  @Column('text') name!: string;
  @Column('text') source_type!: string;
  @Column('text') pipeline_id!: string;
  @Column('text', { nullable: true }) connection_id!: string | null;
  @Column('jsonb') config!: Record<string, unknown>;
  @Column('text', { nullable: true }) secrets!: string | null;
  @Column('text', { nullable: true }) ingest_token!: string | null;
  @Column('text') status!: string;
  @Column('text') desired_status!: string;
  @Column('integer') generation!: number;
  @Column('integer') observed_generation!: number;
  @Column('integer') epoch!: number;
  @Column('text', { nullable: true }) lease_owner!: string | null;
  @Column('timestamptz', { nullable: true }) lease_expires_at!: Date | null;
  @Column('jsonb', { nullable: true }) last_error!: LastError | null;
  @Column('jsonb', { nullable: true }) blocked!: Record<string, unknown> | null;
  @Column('jsonb', { nullable: true }) snapshot!: Record<string, unknown> | null;
  @Column('jsonb') owned!: Record<string, string>;
  @Column('text', { nullable: true }) on_lost_position!: string | null;
  @Column('integer') given_up_at!: number;
  @Column('timestamptz', { nullable: true }) deleting_at!: Date | null;
  @Column('integer') orders_revision!: number;
  @Column('integer') config_revision!: number;
  @Column('boolean') position_pending!: boolean;
  @Column('jsonb', { nullable: true }) position_wanted!: WantedPosition | null;
  @Column('timestamptz') created_at!: Date;
  @Column('timestamptz') updated_at!: Date;
}

@Entity('snapshot_orders')
export class SnapshotOrderRow {
  @PrimaryColumn('text') id!: string;
  @Column('text') stream_id!: string;
  @Column('text') workspace_id!: string;
  @Column('text', { array: true }) tables!: string[];
  @Column('text', { nullable: true }) where_sql!: string | null;
  @Column('timestamptz') requested_at!: Date;
  @Column('timestamptz', { nullable: true }) cancelled_at!: Date | null;
  /** Also when it failed. */
  @Column('timestamptz', { nullable: true }) done_at!: Date | null;
  @Column('text', { nullable: true }) failed!: string | null;
}

@Entity('audit_log')
export class AuditEntry {
  @PrimaryGeneratedColumn({ type: 'bigint' }) id!: string;
  @Column('timestamptz') at!: Date;
  @Column('text') workspace_id!: string;
  @Column('text', { nullable: true }) key_id!: string | null;
  @Column('text') action!: string;
  @Column('text') resource_type!: string;
  @Column('text', { nullable: true }) resource_id!: string | null;
  @Column('jsonb', { nullable: true }) before!: unknown;
  @Column('jsonb', { nullable: true }) after!: unknown;
  @Column('text', { nullable: true }) address!: string | null;
  @Column('text', { nullable: true }) request_id!: string | null;
}

export const ENTITIES = [Workspace, ApiKey, Connection, Pipeline, Stream, SnapshotOrderRow, AuditEntry];
