/** Processes that end at a step, in every world with a stream: what leads there, and what has to be true then. */
import type { Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { Injected } from './fault.js';
import type { Random } from './random.js';
import type { SceneLog } from './scene-log.js';
import type { SteeredStream } from './steered-stream.js';

/** A scene whose processes can be ended at a step. */
export interface Steered extends SteeredStream {
  readonly log: SceneLog;
  /** Arms a crash point. @returns what waits until a process has ended there */
  arm(step: string, count: number): () => Promise<void>;
}

/** On the path of every change: the load reaches it by itself. */
export const onThePath =
  (step: Step) =>
  async (scene: Steered, rng: Random): Promise<void> => {
    await scene.arm(step, rng.between(1, 6))();
  };

/** At the beginning of each read. */
export const atStart =
  (step: Step) =>
  async (scene: Steered): Promise<void> => {
    await scene.command('stop');
    const ended = scene.arm(step, 1);
    await scene.start();
    await ended();
  };

/** On the path of a command: what was accepted is carried out, and its answer, if it came, was true. */
export const inTheGateway =
  (step: Step) =>
  async (scene: Steered, rng: Random): Promise<Injected> => {
    const { stack, streamId } = scene;
    const [verb, state] = rng.pick([
      ['pause', 'paused'],
      ['stop', 'stopped'],
    ] as const);
    await eventually('the gateway runs', () => stack.pids('api-gateway').length > 0, { timeoutMs: 60_000 });
    const ended = scene.arm(step, 1);
    await stack.api('POST', `/api/streams/${streamId}/${verb}`).catch(() => undefined);
    await ended();
    const wrong: string[] = [];
    await scene.status([state], streamId, 30_000).catch((error: Error) => wrong.push(error.message));
    if (verb === 'pause') await scene.command('resume');
    else await scene.start();
    return { wrong, overAt: Date.now() };
  };
