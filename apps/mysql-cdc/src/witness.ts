import { gtidOf, type GtidSet } from './gtid-set.js';
import { headOf, walkLog, type Step, type WalkDeps } from './log-walk.js';
import type { MySqlPosition } from './position.js';
import { logFiles, type LogPlace } from './server.js';
import type { Session } from './session.js';

/**
 * When the last statement of one transaction began, as the steps of a log tell it. Replicas keep that. Two MariaDB clusters
 * number their transactions alike; they do not write them in the same second.
 */
export class Witness {
  /** Seconds since the Unix epoch; `null`: the transaction has not come. */
  at: number | null = null;
  private inside = false;

  constructor(private readonly gtid: string | null) {}

  take(step: Step): void {
    if (step.kind === 'transaction') this.inside = step.gtid !== null && step.gtid === this.gtid;
    if (this.inside && (step.kind === 'transaction' || step.kind === 'rows')) this.at = step.at;
  }
}

const ABSENT = { gtid: null, at: null };

/**
 * Of the transactions before a place of MariaDB's log the last one, when that was, and where it begins; absent where that
 * can't be found. @param set all that is before the place
 */
export async function lastBefore(
  deps: WalkDeps & { readonly session: Session },
  place: LogPlace,
  set: GtidSet,
): Promise<Pick<MySqlPosition, 'gtid' | 'at' | 'last'>> {
  let found: { readonly gtid: string; readonly last: LogPlace; readonly witness: Witness } | null = null;
  try {
    const after = await justBefore(deps, place, set);
    if (after === null) return ABSENT;
    // What comes is the last one of each domain, as they stand in the log, until one is not in the set.
    for await (const step of walkLog(deps, { after })) {
      if (step.kind === 'transaction') {
        const { gtid, file, begin: pos } = step;
        if (gtid === null || !set.has(gtidOf('mariadb', gtid))) break;
        found = { gtid, last: { file, pos }, witness: new Witness(gtid) };
      }
      found?.witness.take(step);
    }
  } catch (error) {
    // The log has it no longer, or it takes too long to find: a start goes on without it.
    if (deps.signal?.aborted === true) throw error;
  }
  if (found === null) return ABSENT;
  const { gtid, last, witness } = found;
  return { gtid, at: witness.at, last };
}

/** Where a replica would be before the last transactions of the newest file that has any of a set; `null`: none has. */
async function justBefore(
  deps: WalkDeps & { readonly session: Session },
  place: LogPlace,
  set: GtidSet,
): Promise<string | null> {
  const files = (await logFiles(deps.session)).map(({ file }) => file);
  for (const file of files.slice(0, files.indexOf(place.file) + 1).reverse()) {
    const head = await headOf(deps, file);
    const before = head === null ? null : set.justBefore(head);
    if (before !== null) return before;
  }
  return null;
}
