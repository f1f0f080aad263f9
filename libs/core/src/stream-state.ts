/** The lifecycle of a stream as one table: state × command → what is answered. */

export const STREAM_STATUSES = ['created', 'starting', 'running', 'paused', 'stopped', 'error'] as const;
export type StreamStatus = (typeof STREAM_STATUSES)[number];

export const STREAM_COMMANDS = ['start', 'stop', 'pause', 'resume'] as const;
export type StreamCommand = (typeof STREAM_COMMANDS)[number];

/** What the user wants. A worker makes it so; `idle` is a stream that was never started. */
export type DesiredStatus = 'idle' | 'running' | 'paused' | 'stopped';

export interface Transition {
  /** The status that the answer carries once it is true. */
  readonly to: StreamStatus;
  readonly desired: DesiredStatus;
  /** Nothing changes: the stream is there already. */
  readonly noop: boolean;
  /** The answer waits until a worker has confirmed (or has been fenced off). */
  readonly confirm: boolean;
}

const starting: Transition = { to: 'starting', desired: 'running', noop: false, confirm: false };
const stopped: Transition = { to: 'stopped', desired: 'stopped', noop: false, confirm: true };
const paused: Transition = { to: 'paused', desired: 'paused', noop: false, confirm: true };
const running: Transition = { to: 'running', desired: 'running', noop: false, confirm: true };
const same = (transition: Transition): Transition => ({ ...transition, noop: true, confirm: false });

const TABLE: Readonly<Record<StreamStatus, Readonly<Record<StreamCommand, Transition | null>>>> = {
  created: { start: starting, stop: null, pause: null, resume: null },
  starting: { start: same(starting), stop: stopped, pause: paused, resume: null },
  running: { start: same(running), stop: stopped, pause: paused, resume: same(running) },
  paused: { start: starting, stop: stopped, pause: same(paused), resume: running },
  stopped: { start: starting, stop: same(stopped), pause: null, resume: null },
  error: { start: starting, stop: stopped, pause: null, resume: starting },
};

/** The transition of `command` in `status`, or `null` where it is not allowed (409 `invalid_transition`). */
export const transition = (status: StreamStatus, command: StreamCommand): Transition | null => TABLE[status][command];

export const allowedCommands = (status: StreamStatus): readonly StreamCommand[] =>
  STREAM_COMMANDS.filter((command) => TABLE[status][command] !== null);
