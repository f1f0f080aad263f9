/** (a) 600,000 rows that wait in the WAL, until all of them are in the log. */
import { drainBacklog } from './backlog.js';
import { rows, TABLE, type Scene } from './scene.js';

const ROWS = 600_000;
const PER_TRANSACTION = 100;

export async function drain(scene: Scene): Promise<object> {
  await scene.source.query(`CREATE TABLE drain ${TABLE}`);
  const found = await drainBacklog(scene, {
    part: 'drain',
    tables: ['public.drain'],
    rows: ROWS,
    rounds: 3,
    fill: `WHILE at <= ${ROWS} LOOP ${rows('drain', 'at', `at + ${PER_TRANSACTION - 1}`)}; COMMIT; at := at + ${PER_TRANSACTION}; END LOOP;`,
  });
  return { ...found, aim: '0.7, at least 0.6; 8 CPU s per million in the worker' };
}
