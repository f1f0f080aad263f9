/** (b) 2,000 single-row commits a second: from commit to readable in the log. */
import { logKey } from '../log.js';
import { round } from './measure.js';
import { paced } from './paced.js';
import { TABLE, type Scene } from './scene.js';
import { follow, percentiles } from './tail.js';

export const PER_SECOND = 2000;
const SECONDS = 15;
/** Not counted: the first seconds, while the code of the worker is being compiled. */
export const WARM_UP = 3 * PER_SECOND;
export const COMMITS = PER_SECOND * SECONDS;
export const WRITERS = 8;

export async function latency(scene: Scene): Promise<object> {
  const { source, postgres, redis, stack } = scene;
  await source.query(`CREATE TABLE latency ${TABLE}`);
  const id = await scene.stream('latency', { tables: ['public.latency'], snapshot: 'never' });
  const delays = follow(redis.client(), logKey(id), COMMITS, (field, now) => {
    // The commit's own time, to the microsecond.
    const at = field('time');
    return now - (Date.parse(at.slice(0, 19) + 'Z') + Number(`0${at.slice(19, -1) || '.0'}`) * 1000);
  });
  const sessions = await Promise.all(Array.from({ length: WRITERS }, () => postgres.connect('bench')));
  const wrote = await paced(sessions, { perSecond: PER_SECOND, total: COMMITS }, (session, n) =>
    session.query({
      name: 'row',
      text: `INSERT INTO latency VALUES ($1, 1, 'someone@example.com', repeat('x', 100), 1.25, now(), '{"sku":"abc","qty":3}')`,
      values: [n],
    }),
  );
  const seen = await delays;
  await Promise.all(sessions.map((session) => session.end()));
  const told = (await stack.api('GET', `/api/streams/${id}/metrics?window=1m`)).a;
  await stack.api('DELETE', `/api/streams/${id}?purge=true`);
  await source.query('DROP TABLE latency');
  return {
    part: 'latency',
    commits_per_s: round(COMMITS / wrote, 0),
    ...percentiles(seen.slice(WARM_UP)),
    aim: 'p99 under 25 ms',
    api_says: told?.latency_ms,
  };
}
