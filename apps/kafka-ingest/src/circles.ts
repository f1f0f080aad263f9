import { StreamError, type Check, type LogTopics, type Neighbour } from '@planasonix/core';
import { circleOf, type Circle, type Leg } from './circle.js';
import { parseConfig, type KafkaConfig } from './config.js';

interface Other extends Leg {
  readonly of: Neighbour | null;
}

export interface CirclesInput {
  readonly config: KafkaConfig;
  /** Of the connection that it reads from. */
  readonly connectionId: string;
  /** What that leads to. */
  readonly clusterId: string;
  readonly log: LogTopics;
  readonly neighbours: readonly Neighbour[];
  /** What a connection leads to; `null`: it can't be asked now. Asked only where names go round. */
  readonly clusterOf: (connectionId: string) => Promise<string | null>;
}

/** Shown of a way that goes on and on, and of a name. */
const SHOWN = 6;
const LONGEST = 60;

/** Streams over which a stream would read again what it has written. */
export class Circles {
  readonly #clusters: Map<string, string | null>;
  readonly #neighbours: readonly { readonly of: Neighbour; readonly config: KafkaConfig }[];
  /** Topics from which no circle begins among those that run. */
  readonly #sound = new Set<string>();

  constructor(private readonly input: CirclesInput) {
    this.#clusters = new Map([[input.connectionId, input.clusterId]]);
    this.#neighbours = input.neighbours.flatMap((of) => {
      const config = topicsOf(of);
      return config === null ? [] : [{ of, config }];
    });
  }

  /** @throws StreamError `config_invalid` where it and streams that run would feed each other from one of these topics */
  async expectNone(topics: readonly string[]): Promise<void> {
    const fresh = topics.filter((topic) => !this.#sound.has(topic));
    const found = await this.#find(fresh, ({ runs }) => runs, true);
    if (found?.kind === 'closed') throw refusal(found);
    for (const topic of fresh) this.#sound.add(topic);
  }

  /** What may be one, too: over streams that do not run, or clusters that can't be asked. */
  async checks(topics: readonly string[]): Promise<readonly Check[]> {
    const sure = await this.#find(topics, ({ runs }) => runs, true);
    if (sure?.kind === 'closed') {
      const { code, message, hint } = refusal(sure);
      return [{ code, severity: 'error', message, fix: hint }];
    }
    const resting = await this.#find(topics, () => true, true);
    const found = resting ?? (await this.#find(topics, () => true, false));
    if (found === null) return [];
    const names = found.steps.flatMap(({ leg: { of } }) => (of === null || of.runs ? [] : [of.name]));
    const when =
      found.kind === 'endless'
        ? 'may take copies of copies round without an end'
        : resting === null
          ? 'may feed itself for ever, if connections that can not be asked now lead to one cluster'
          : `would feed itself for ever as soon as ${quoted(names)} ran`;
    return [
      {
        code: 'config_invalid',
        severity: 'warning',
        message: `The stream ${when}: ${told(found)}.`,
        fix: hintOf(found),
      },
    ];
  }

  /** @param strictly a cluster that can't be asked is no other stream's */
  async #find(
    topics: readonly string[],
    counts: (of: Neighbour) => boolean,
    strictly: boolean,
  ): Promise<Circle<Other> | null> {
    for (;;) {
      const found = circleOf(this.#own(), this.#others(counts, strictly), topics);
      const unknown = (found?.steps ?? [])
        .flatMap(({ leg: { of } }) => (of === null ? [] : [of.from ?? '', of.into]))
        .filter((id) => !this.#clusters.has(id));
      if (unknown.length === 0) return found;
      for (const id of new Set(unknown)) this.#clusters.set(id, await this.input.clusterOf(id));
    }
  }

  #own(): Other {
    const { config, log, clusterId } = this.input;
    return { name: '', config, topics: log, from: clusterId, into: log.clusterId, of: null };
  }

  #others(counts: (of: Neighbour) => boolean, strictly: boolean): Other[] {
    const cluster = (id: string): string | null =>
      this.#clusters.get(id) ?? (strictly && this.#clusters.has(id) ? `of ${id}` : null);
    return this.#neighbours
      .filter(({ of }) => counts(of))
      .map(({ of, config }) => ({
        ...{ name: of.name, config, topics: of.topics, of },
        ...{ from: cluster(of.from ?? ''), into: cluster(of.into) },
      }));
  }
}

/** `null`: one that can't run. */
function topicsOf({ config: { topics = [], topic_pattern = null } }: Neighbour): KafkaConfig | null {
  try {
    return parseConfig({ topics, topic_pattern });
  } catch {
    return null;
  }
}

const quoted = (names: readonly string[]): string => [...new Set(names)].map((name) => `"${name}"`).join(' and ');

const cut = (name: string): string => (name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name);

/** `it takes a to b, and "back" takes b to a` */
const told = ({ origin, steps }: Circle<Other>): string =>
  (origin === steps[0]!.topic ? '' : `from ${origin} on `) +
  steps
    .slice(0, SHOWN)
    .map(({ leg: { of, name, topics }, topic }) => {
      return `${of === null ? 'it' : `"${name}"`} takes ${cut(topic)} to ${cut(topics.of(topic))}`;
    })
    .join(', and ') +
  (steps.length > SHOWN ? ', and so on' : '');

const hintOf = ({ origin }: Circle<Other>): string =>
  `Leave ${origin} out of topics and topic_pattern, or let one of these streams write to a topic that none of them reads.`;

const refusal = (found: Circle<Other>): StreamError =>
  new StreamError('config_invalid', `The stream would feed itself for ever: ${told(found)}.`, { hint: hintOf(found) });
