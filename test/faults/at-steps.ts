/** Processes that end at a step, in every world with a stream: what leads there, and what has to be true then. */
import type { Step } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { Stack } from '../stack.js';
import type { Injected } from './fault.js';
import type { Random } from './random.js';

/** A scene, as far as its stream is steered. */
export interface Steered {
  readonly stack: Stack;
  readonly streamId: string;
  /** Arms a crash point; resolves with a function that waits until a process has ended there. */
  arm(step: string, count: number): () => Promise<void>;
  command(verb: 'stop' | 'pause' | 'resume'): Promise<void>;
  start(): Promise<void>;
  status(wanted: readonly string[], id?: string, timeoutMs?: number): Promise<string>;
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
