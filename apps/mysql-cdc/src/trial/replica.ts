import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Leg } from './legs.js';

/** A primary and its replica, by GTID; each begins with no log and no database of a test. */
export class Pair {
  constructor(
    private readonly type: Leg['type'],
    private readonly primary: Mysqld,
    readonly db: Connection,
    readonly replica: Connection,
  ) {}

  /** Forgets both logs, and lets one replicate the other from there on. */
  async begin(): Promise<void> {
    await this.promote();
    for (const one of [this.db, this.replica]) {
      const [rows] = await one.query<RowDataPacket[]>("SHOW DATABASES LIKE 'd%'");
      for (const row of rows) await one.query(`DROP DATABASE ${String(Object.values(row)[0])}`);
      await this.reset(one);
    }
    await this.follow();
  }

  /** @param port of what lies before the primary */
  async follow(port = this.primary.port): Promise<void> {
    const { host, user, password } = this.primary;
    await this.replica.query(
      this.type === 'mariadb'
        ? `CHANGE MASTER TO MASTER_HOST = '${host}', MASTER_PORT = ${port}, MASTER_USER = '${user}', MASTER_PASSWORD = '${password}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1; START SLAVE`
        : `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '${host}', SOURCE_PORT = ${port}, SOURCE_USER = '${user}', SOURCE_PASSWORD = '${password}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1; START REPLICA`,
    );
  }

  /** As after a copy of the primary's tables: the log of the replica begins anew, behind all that the primary has. */
  async copied(): Promise<void> {
    await this.level();
    await this.promote();
    const name = this.type === 'mariadb' ? 'gtid_binlog_pos' : 'gtid_executed';
    const [[row]] = await this.db.query<RowDataPacket[]>(`SELECT @@GLOBAL.${name} AS at`);
    await this.reset(this.replica);
    await this.replica.query(`SET GLOBAL ${this.type === 'mariadb' ? 'gtid_slave_pos' : 'gtid_purged'} = ?`, [
      row!['at'],
    ]);
    await this.follow();
  }

  /** The replica replicates no more. */
  async promote(): Promise<void> {
    await this.replica.query(
      this.type === 'mariadb' ? 'STOP SLAVE; RESET SLAVE ALL' : 'STOP REPLICA; RESET REPLICA ALL',
    );
  }

  async reset(of: Connection): Promise<void> {
    if (this.type === 'mariadb') await of.query("RESET MASTER; SET GLOBAL gtid_slave_pos = ''");
    else await of.query('RESET BINARY LOGS AND GTIDS');
  }

  /** Resolves once the replica has applied all that the primary has committed. */
  async level(): Promise<void> {
    const [sql, wait] =
      this.type === 'mariadb'
        ? ['SELECT @@GLOBAL.gtid_binlog_pos AS s', 'SELECT MASTER_GTID_WAIT(?, 30) = 0 AS s']
        : ['SELECT @@GLOBAL.gtid_executed AS s', 'SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 30) = 0 AS s'];
    const [[at]] = await this.db.query<RowDataPacket[]>(sql);
    const [[done]] = await this.replica.query<RowDataPacket[]>(wait, [at!['s']]);
    if (Number(done!['s']) !== 1) throw new Error('The replica did not come level.');
  }

  /** Resolves once the replica has a row, also one that nothing is logged of yet. */
  received(gtid: string): Promise<unknown> {
    const column = this.type === 'mariadb' ? 'Gtid_IO_Pos' : 'Retrieved_Gtid_Set';
    const sql = this.type === 'mariadb' ? 'SHOW ALL SLAVES STATUS' : 'SHOW REPLICA STATUS';
    return eventually(`the replica has received ${gtid}`, async () => {
      const [[row]] = await this.replica.query<RowDataPacket[]>(sql);
      return String(row?.[column] ?? '')
        .replace(/\s/g, '')
        .endsWith(gtid);
    });
  }
}
