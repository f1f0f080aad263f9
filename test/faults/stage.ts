/** Where rounds are played, one after the other: a scene, and what a round in it is. */
import type { AnyFault } from './fault.js';
import { playHookRound } from './hook-round.js';
import { HookScene } from './hook-scene.js';
import { playRound, type Round } from './round.js';
import { Scene } from './scene.js';
import { playTopicRound } from './topic-round.js';
import { TopicScene } from './topic-scene.js';

export interface Stage {
  /** Of the product. */
  readonly logFile: string;
  /** @param fault one of the same wishes */
  play(fault: AnyFault, seed: number): Promise<Round>;
  /** Takes out of the log what was judged. */
  trim(): Promise<void>;
  end(): Promise<void>;
}

/** Faults with the same ones share a stage. */
export function wishesOf(fault: AnyFault): string {
  const { senders, topics } = fault;
  if (senders !== undefined) return JSON.stringify({ senders, kafka: fault.kafka });
  if (topics !== undefined) return JSON.stringify({ topics });
  return JSON.stringify(fault.scene ?? {});
}

export async function openStage(wishes: AnyFault, seed: number): Promise<Stage> {
  if (wishes.senders !== undefined) {
    const scene = await HookScene.open({ seed, senders: wishes.senders, kafka: wishes.kafka === true });
    return stageOf(scene, (fault, of) =>
      fault.senders === undefined ? misplaced(fault) : playHookRound(scene, fault, of),
    );
  }
  if (wishes.topics !== undefined) {
    const scene = await TopicScene.open({ seed, ...wishes.topics });
    return stageOf(scene, (fault, of) =>
      fault.topics === undefined ? misplaced(fault) : playTopicRound(scene, fault, of),
    );
  }
  const scene = await Scene.open({ seed, forgetful: true, ...wishes.scene });
  const stage = stageOf(scene, (fault, of) =>
    fault.senders === undefined && fault.topics === undefined ? playRound(scene, fault, of) : misplaced(fault),
  );
  return scene.options.forgetful === true ? stage : { ...stage, trim: () => Promise.resolve() };
}

const stageOf = (scene: Scene | HookScene | TopicScene, play: Stage['play']): Stage => ({
  logFile: scene.stack.logFile,
  play,
  trim: () => scene.trim(),
  end: () => scene.end(),
});

const misplaced = ({ family, name }: AnyFault): never => {
  throw new Error(`${family}/${name} is played in another scene`);
};
