import type { SourceContext } from '@planasonix/core';
import {
  mySqlRoot,
  newerMariaDbRoot,
  startMariaDb,
  startMySql,
  startNewerMariaDb,
  type Mysqld,
  type MysqldOptions,
} from '@planasonix/testing';
import { createConnection, type Connection } from 'mysql2/promise';
import { Sessions } from '../sessions.js';

/** A server that suites run against; each says in one line why it is left out. */
export interface Leg {
  readonly name: 'MariaDB' | 'MySQL' | 'MariaDB 11.8';
  readonly type: 'mariadb' | 'mysql';
  readonly start: (options?: MysqldOptions) => Promise<Mysqld>;
}

const MARIADB: Leg = { name: 'MariaDB', type: 'mariadb', start: startMariaDb };
const MYSQL: Leg = { name: 'MySQL', type: 'mysql', start: startMySql };
const NEWER_MARIADB: Leg = { name: 'MariaDB 11.8', type: 'mariadb', start: startNewerMariaDb };

const say = (line: string): void => void process.stderr.write(`${line}\n`);

export const LEGS: readonly Leg[] = [MARIADB, ...(mySqlRoot(say) === null ? [] : [MYSQL])];

/** Of suites that a newer version of one of the two could fail where the older one passes. */
export const FURTHER_LEGS: readonly Leg[] = [...LEGS, ...(newerMariaDbRoot(say) === null ? [] : [NEWER_MARIADB])];

/** As `root`, in UTF-8. */
export const dial = ({ host, port, user, password }: Mysqld): Promise<Connection> =>
  createConnection({ host, port, user, password, multipleStatements: true, charset: 'utf8mb4_general_ci' });

/** A connection's config as users write it. */
export const connectionOf = ({ host, port, user, password }: Mysqld): Readonly<Record<string, unknown>> => ({
  ...{ host, port, user, password },
});

/**
 * Sessions as a stream of this connection opens them, for what asks the server and reads nothing else of a stream.
 * @param port of what lies before the server
 */
export function sessionsOf(server: Mysqld, type: Leg['type'], port = server.port): Sessions {
  const connection = { id: 'conn_1', type, config: { ...connectionOf(server), port } };
  const outbound = { resolve: (host: string) => Promise.resolve(host) };
  return new Sessions({ connection, outbound } as unknown as SourceContext, 'test');
}
