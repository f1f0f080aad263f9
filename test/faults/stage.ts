/** Where rounds are played, one after the other: a scene, and what a round in it is. */
import type { AnyFault } from './fault.js';
import { playHookRound } from './hook-round.js';
import { HookScene } from './hook-scene.js';
import { playRound, type Round } from './round.js';
import { Scene } from './scene.js';

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
export const wishesOf = (fault: AnyFault): string =>
  JSON.stringify(fault.senders === undefined ? (fault.scene ?? {}) : { senders: fault.senders, kafka: fault.kafka });

export async function openStage(wishes: AnyFault, seed: number): Promise<Stage> {
  if (wishes.senders !== undefined) {
    const scene = await HookScene.open({ seed, senders: wishes.senders, kafka: wishes.kafka === true });
    return stageOf(scene, (fault, of) =>
      fault.senders === undefined ? misplaced(fault) : playHookRound(scene, fault, of),
    );
  }
  const scene = await Scene.open({ seed, forgetful: true, ...wishes.scene });
  const stage = stageOf(scene, (fault, of) =>
    fault.senders === undefined ? playRound(scene, fault, of) : misplaced(fault),
  );
  return scene.options.forgetful === true ? stage : { ...stage, trim: () => Promise.resolve() };
}

const stageOf = (scene: Scene | HookScene, play: Stage['play']): Stage => ({
  logFile: scene.stack.logFile,
  play,
  trim: () => scene.trim(),
  end: () => scene.end(),
});

const misplaced = ({ family, name }: AnyFault): never => {
  throw new Error(`${family}/${name} is played in another scene`);
};
