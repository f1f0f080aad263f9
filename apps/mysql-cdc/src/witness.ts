import { gtidOf, type GtidSet } from './gtid-set.js';
import { walkLog, type Step, type WalkDeps } from './log-walk.js';
import type { MySqlPosition } from './position.js';
import type { LogPlace } from './server.js';

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

/** The last transaction of a set of MariaDB, when it was, and where the log's last one of the set begins; absent where that can't be found. */
export async function lastOf(deps: WalkDeps, set: GtidSet): Promise<Pick<MySqlPosition, 'gtid' | 'at' | 'last'>> {
  const { last, before } = set.beforeLast();
  const witness = new Witness(last);
  let newest: LogPlace | undefined;
  try {
    for await (const step of walkLog(deps, { after: before })) {
      if (step.kind === 'transaction') {
        if (step.gtid === null || !set.has(gtidOf('mariadb', step.gtid))) break;
        newest = { file: step.file, pos: step.begin };
      }
      witness.take(step);
    }
  } catch (error) {
    // The log has it no longer, or it takes too long to find: a start goes on without it.
    if (deps.signal?.aborted === true) throw error;
  }
  return { ...(witness.at === null ? ABSENT : { gtid: last, at: witness.at }), last: newest };
}
