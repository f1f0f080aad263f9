import type { LogTopics } from '@planasonix/core';
import { isWanted, type KafkaConfig } from './config.js';

/** A stream from Kafka into Kafka. */
export interface Leg {
  readonly name: string;
  readonly config: Pick<KafkaConfig, 'topics' | 'pattern'>;
  readonly topics: Omit<LogTopics, 'clusterId'>;
  /** The clusters that it reads from and writes into; `null`: not known, it may be any. */
  readonly from: string | null;
  readonly into: string | null;
}

/** One stream takes what is in `topic` to where the next step begins. */
export interface Step<L extends Leg> {
  readonly leg: L;
  readonly topic: string;
}

/** From a topic back to it; `endless`: ever other names, and no end in sight. */
export interface Circle<L extends Leg> {
  readonly kind: 'closed' | 'endless';
  /** Of the topics that were asked about, the one that leads there. */
  readonly origin: string;
  readonly steps: readonly Step<L>[];
}

/** Steps that are looked at in all, and for each topic beyond them. Invariant 6. */
const MOST = 2_000;
const MOST_EACH = 20;

const isSame = (one: string | null, other: string | null): boolean => one === null || other === null || one === other;

/** What it writes itself is passed over by whoever gives a pattern. */
const reads = ({ config, topics, from, into }: Leg, topic: string): boolean =>
  config.topics.includes(topic) ||
  (isWanted({ topics: [], pattern: config.pattern }, topic, false) &&
    !(from !== null && from === into && topics.may(topic)));

/** A way of events: how they came to be in `topic`. */
interface Way<L extends Leg> {
  readonly step: Step<L>;
  readonly before: Way<L> | null;
}

function stepsOf<L extends Leg>(way: Way<L>): Step<L>[] {
  const steps: Step<L>[] = [];
  for (let at: Way<L> | null = way; at !== null; at = at.before) steps.unshift(at.step);
  return steps;
}

/** The way since it was at this step before, beginning with `own`; `null`: it was not, or `own` has no part in it. */
function roundOf<L extends Leg>(way: Way<L>, { leg, topic }: Step<L>, own: L): Step<L>[] | null {
  const steps = stepsOf(way);
  const met = steps.findIndex((one) => one.leg === leg && one.topic === topic);
  const round = met < 0 ? [] : steps.slice(met);
  const first = round.findIndex((one) => one.leg === own);
  return first < 0 ? null : [...round.slice(first), ...round.slice(0, first)];
}

/**
 * A circle in which `own` would read again what it has read: from one of these topics, or one that its events reach.
 * Names are followed one by one, through patterns and placeholders too.
 */
export function circleOf<L extends Leg>(own: L, others: readonly L[], topics: readonly string[]): Circle<L> | null {
  const legs = [own, ...others];
  const starts = new Map(topics.map((topic) => [topic, topic]));
  let left = MOST + MOST_EACH * topics.length;
  for (const [start, origin] of starts) {
    let ways: Way<L>[] = [{ step: { leg: own, topic: start }, before: null }];
    const seen = new Set([`0 ${start}`]);
    while (ways.length > 0) {
      const next: Way<L>[] = [];
      for (const way of ways) {
        const { leg: writer, topic: read } = way.step;
        const topic = writer.topics.of(read);
        for (const [index, leg] of legs.entries()) {
          if (!isSame(writer.into, leg.from) || !reads(leg, topic)) continue;
          const step = { leg, topic };
          const name = `${index} ${topic}`;
          const round = seen.has(name) ? roundOf(way, step, own) : null;
          if (round !== null) return { kind: 'closed', origin, steps: round };
          if (--left < 0) return { kind: 'endless', origin, steps: stepsOf(way) };
          // A way from there may have been taken by others before: it begins anew.
          if (leg === own && !starts.has(topic)) starts.set(topic, origin);
          if (!seen.has(name)) next.push({ step, before: way });
          seen.add(name);
        }
      }
      ways = next;
    }
  }
  return null;
}
