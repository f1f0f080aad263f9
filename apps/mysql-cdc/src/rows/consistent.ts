import { StreamError } from '@planasonix/core';
import { logEnd, type LogPlace, type Server } from '../server.js';
import type { Session } from '../session.js';

/**
 * Begins a transaction that sees the tables as they were at one place of the log. MariaDB says that place itself. MySQL is
 * asked for it under a lock on all tables, which is held for no longer than these questions take (10 s are waited for it at
 * the most).
 */
export async function beginConsistent(session: Session, server: Server): Promise<LogPlace> {
  if (server.flavor === 'mariadb') {
    await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
    const rows = await session.query("SHOW STATUS LIKE 'binlog\\_snapshot\\_%'");
    const status = new Map(rows.map((row) => [row['Variable_name'], row['Value']]));
    const file = status.get('Binlog_snapshot_file');
    if (!file)
      throw new StreamError('snapshot_failed', 'The server does not say at which place of its log the snapshot is.');
    return { file, pos: Number(status.get('Binlog_snapshot_position')) };
  }
  await session.query('FLUSH TABLES WITH READ LOCK');
  try {
    await session.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
    return await logEnd(session, server);
  } finally {
    await session.query('UNLOCK TABLES');
  }
}
