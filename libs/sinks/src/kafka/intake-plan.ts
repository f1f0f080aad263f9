import type { ChangeEvent, Intake, TakenIn } from '@planasonix/core';
import type { Known } from './seen-topic.js';

/** What a group of deliveries comes to. */
export interface IntakePlan {
  /** Of each delivery. */
  readonly taken: readonly TakenIn[];
  readonly events: readonly ChangeEvent[];
  readonly bytes: number;
  /** What has to be remembered with the events. */
  readonly known: readonly Known[];
}

/** The same rules as where the log is in Redis (`inlet-scripts.ts`), one delivery after the other. */
export function planOf(
  group: readonly Intake[],
  nowMs: number,
  find: (name: string) => Known['as'] | undefined,
): IntakePlan {
  const taken: TakenIn[] = [];
  const events: ChangeEvent[] = [];
  const fresh = new Map<string, Known>();
  const known = (name: string) => fresh.get(name)?.as ?? find(name);
  let bytes = 0;
  for (const intake of group) {
    const { sameDelivery, sameId, windowMs } = intake;
    const before = known(sameDelivery);
    const other = before === undefined ? sameDelivery !== sameId && known(sameId) !== undefined : before === 'other';
    const id = other ? intake.otherId : intake.id;
    taken.push({ kind: before === undefined ? 'written' : 'repeated', id });
    if (before !== undefined) continue;
    const untilMs = nowMs + windowMs;
    fresh.set(sameDelivery, { name: sameDelivery, as: other ? 'other' : 'first', untilMs });
    if (sameDelivery !== sameId && !other) fresh.set(sameId, { name: sameId, as: 'id', untilMs });
    for (const event of eventsOf(intake, id)) {
      events.push(event);
      bytes += event.data.length;
    }
  }
  return { taken, events, bytes, known: [...fresh.values()] };
}

const eventsOf = ({ type, subject, time, timeMs, parts, expanded }: Intake, id: string): readonly ChangeEvent[] =>
  parts.map(({ partitionkey, data }, i) => ({
    ...{ id: expanded ? `${id}/${i}` : id, type, subject, time, timeMs, partitionkey, data },
    order: null,
  }));
