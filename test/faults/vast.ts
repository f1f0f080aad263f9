/** The table of many chunks: made where it is needed, and changed at random places beside a stream that reads it. */
import type { Statement } from './origin.js';
import type { Random } from './random.js';
import type { Scene } from './scene.js';
import { VAST } from './tables.js';

/** As configurations name it. */
export const VAST_TABLES = 'vast.*';

/** Even ids are there from the beginning, odd ones come and go. */
const ROWS = 105_000;

const made = new WeakSet<Scene>();

export async function makeVast(scene: Scene): Promise<void> {
  if (made.has(scene)) return;
  const session = await scene.admin();
  await scene.origin.makeVast(session, ROWS);
  await session.end();
  made.add(scene);
}

/** A change as they come by chance over the whole range of the key. */
function change({ origin: { grammar } }: Scene, rng: Random): Statement {
  const at = 2 + rng.below(2 * ROWS);
  switch (rng.below(4)) {
    case 0:
      return grammar.raise(VAST, at, at + 60);
    case 1:
      return grammar.remove(VAST, at, at + 6);
    case 2:
      return grammar.put(VAST, { id: at | 1, v: rng.below(1e6), words: 'new' });
    default:
      // From one chunk into another.
      return grammar.move(VAST, at & ~1, 2 * rng.below(ROWS) + 1);
  }
}

/** Changes the table until the function that it gives is called. */
export function churn(scene: Scene, rng: Random): () => Promise<void> {
  let over = false;
  const run = async (): Promise<void> => {
    const session = await scene.admin();
    while (!over) {
      const { sql, values } = change(scene, rng);
      await session.query(sql, values);
      await scene.load.goOn(rng.below(8));
    }
    await session.end();
  };
  const running = run();
  running.catch(() => undefined);
  return () => {
    over = true;
    return running;
  };
}
