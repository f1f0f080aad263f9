import type { HookScene } from './hook-scene.js';
import type { Random } from './random.js';
import type { Scene, SceneOptions } from './scene.js';
import type { TopicScene } from './topic-scene.js';
import type { TopicWishes } from './topic-servers.js';

/** What an injection leaves to be known. */
export interface Injected {
  /** When the fault was over, ms; by default when `inject` resolved. */
  readonly overAt?: number;
  /** Undone when the round has been judged. */
  after?(): Promise<void>;
  /** What it has seen to be wrong by itself. */
  readonly wrong?: readonly string[];
  /** The log is another one now: events that were said to be durable may be gone from it. */
  readonly otherLog?: boolean;
}

/** What plan and report know of a fault. */
interface Named {
  readonly name: string;
  readonly family: string;
  /** Numbers of docs/traps.md that it covers. */
  readonly traps: readonly number[];
  /** It takes half a minute and more: in the long form its kills come half as often. */
  readonly slow?: boolean;
  /** By then it has to be over, ms after its end; later is wrong. Absent: a round waits for 2 minutes. */
  readonly withinMs?: number;
  /** Where it can't be made on this machine: why. */
  readonly missing?: () => string | null;
}

/** Over a source that is read. */
export interface Fault extends Named {
  readonly senders?: undefined;
  readonly topics?: undefined;
  /** What it takes besides the usual scene. Faults with the same wishes share one. */
  readonly scene?: Omit<SceneOptions, 'seed'>;
  /** Breaks something and lets it be whole again. */
  inject(scene: Scene, rng: Random): Promise<Injected | void>;
  /**
   * Codes that the stream may end in `error` with; then it is started again with `resnapshot`. `must`: it has to.
   * Absent: it has to go on by itself.
   */
  readonly told?: { readonly codes: readonly string[]; readonly must: boolean };
}

/** Over webhooks, of so many senders. It has to go on by itself. */
export interface HookFault extends Named {
  readonly senders: number;
  readonly topics?: undefined;
  /** The log is in Kafka, at one broker. */
  readonly kafka?: true;
  inject(scene: HookScene, rng: Random): Promise<Injected | void>;
}

/** Over topics that are read. */
export interface TopicFault extends Named {
  readonly senders?: undefined;
  readonly topics: TopicWishes;
  inject(scene: TopicScene, rng: Random): Promise<Injected | void>;
  /** As of a `Fault`, and then it is started again with `skip`. */
  readonly told?: { readonly codes: readonly string[]; readonly must: boolean };
}

export type AnyFault = Fault | HookFault | TopicFault;
