import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, type Leg } from './legs.js';
import { Pair } from './replica.js';
import { TrialStream } from './trial-stream.js';

export interface Place {
  readonly file: string;
  readonly server: string;
  readonly gtids: string;
  readonly gtid: string;
  readonly attempt: number;
}

/** A primary, its replica, and a stream that has read three rows of the primary. */
export class Failover {
  primary!: Mysqld;
  follower!: Mysqld;
  db!: Connection;
  replica!: Connection;
  pair!: Pair;
  stream!: TrialStream;
  n = 0;
  readonly logsAll: string;

  constructor(private readonly leg: Leg) {
    this.logsAll = leg.type === 'mariadb' ? 'log_slave_updates' : 'log_replica_updates';
  }

  /** Once for all. */
  async up(): Promise<void> {
    const { start, type } = this.leg;
    // MariaDB would stop replicating before its log holds errant transactions before others.
    const config: Readonly<Record<string, string>> =
      type === 'mariadb' ? { gtid_strict_mode: 'OFF', log_slave_updates: 'ON' } : {};
    [this.primary, this.follower] = await Promise.all([
      start({ config }),
      start({ config: { ...config, server_id: 2 } }),
    ]);
    this.db = await dial(this.primary);
    await this.dialReplica();
  }

  /** Before each test. */
  async begin(): Promise<void> {
    this.n += 1;
    const { db, replica, pair, n } = this;
    await pair.begin();
    await db.query(`CREATE DATABASE d${n}; USE d${n}; CREATE TABLE t (id INT PRIMARY KEY, v CHAR(9))`);
    await pair.level();
    await replica.query(`USE d${n}`);
    this.stream = this.make();
    this.stream.start();
    await this.stream.begun();
    // Of MariaDB a replica keeps when statements began, and not when they were committed.
    await db.query("INSERT INTO t VALUES (1, 'a'); START TRANSACTION; SET timestamp = 1700000000; INSERT INTO t VALUES (2, 'b'); SET timestamp = 1700000009; INSERT INTO t VALUES (3, 'c'); SET timestamp = 1700000020; COMMIT; SET timestamp = DEFAULT"); // prettier-ignore
    await this.stream.count(3);
    await this.stream.seen('"id":3');
  }

  async down(): Promise<void> {
    await Promise.all([this.db.end().catch(() => undefined), this.replica.end()]);
    await Promise.all([this.primary.stop(), this.follower.stop()]);
  }

  make(): TrialStream {
    const config = { tables: [`d${this.n}.t`], snapshot: 'never' };
    return new TrialStream(`str_${this.n}`, config, connectionOf(this.primary), this.leg.type);
  }

  placeOf(of = this.stream): Place {
    return JSON.parse(of.positions.get('')!) as Place;
  }

  rows(of = this.stream): unknown[][] {
    return of.data().map(({ op, after }) => [op, after?.['id']]);
  }

  /** Everything that has come so far is committed with its place, and nothing reads. */
  async settled(last: number): Promise<void> {
    await this.stream.count(last);
    await this.stream.stop();
    await this.pair.level();
  }

  /** The stream begins anew, at the end of the log, and reads nothing. */
  async idle(): Promise<void> {
    await this.stream.stop();
    this.stream = this.make();
    this.stream.start();
    await this.stream.begun();
    await this.settled(0);
  }

  /** The address of the stream leads to the replica. */
  move(): void {
    this.stream.server = connectionOf(this.follower);
    this.stream.start();
  }

  /** The replica is restarted, and goes on replicating. */
  async restarted(config: Readonly<Record<string, string>>): Promise<void> {
    await this.replica.end();
    await this.follower.shutDown();
    await this.follower.start(config);
    await this.dialReplica();
  }

  /** Resolves once the log of the replica begins with this file. */
  purgedTo(file: string): Promise<unknown> {
    return eventually('the log is purged', async () => {
      await this.replica.query(`PURGE BINARY LOGS TO '${file}'`);
      const [files] = await this.replica.query('SHOW BINARY LOGS');
      return (files as { Log_name: string }[])[0]?.Log_name === file;
    });
  }

  private async dialReplica(): Promise<void> {
    this.replica = await dial(this.follower);
    this.pair = new Pair(this.leg.type, this.primary, this.db, this.replica);
  }
}
