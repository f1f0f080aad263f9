import { Readable } from 'node:stream';
import type { EventLog, Log } from '@planasonix/core';
import type { ApiKeyStore } from '@planasonix/store';
import { ApiError } from '../contract/api-error.js';
import type { Caller } from '../contract/scopes.js';
import { sseText } from './event-text.js';

const HEARTBEAT_MS = 15_000;
/** A client comes back by itself, with the id of the last event. */
export const LONGEST_MS = 60 * 60_000;
const PER_GATEWAY = 200;
const PER_WORKSPACE = 20;

/** Live tails over HTTP. Bounded in number and time; a slow client slows its own tail and nothing else (Invariant 6). */
export class LiveTails {
  private readonly open = new Map<AbortController, string>();

  constructor(
    private readonly log: Log,
    private readonly keys: Pick<ApiKeyStore, 'isLive'>,
  ) {}

  /** @throws ApiError `too_many_tails` */
  start(
    { workspaceId, keyId }: Pick<Caller, 'workspaceId' | 'keyId'>,
    events: EventLog,
    streamId: string,
    after: string | null,
  ): Readable {
    const ofWorkspace = [...this.open.values()].filter((one) => one === workspaceId).length;
    if (this.open.size >= PER_GATEWAY || ofWorkspace >= PER_WORKSPACE)
      throw new ApiError('too_many_tails', { headers: { 'retry-after': '10' } });
    const ending = new AbortController();
    this.open.set(ending, workspaceId);
    let wanted: (() => void) | null = null;
    const stream = new Readable({
      highWaterMark: 64 * 1024,
      read: () => {
        wanted?.();
        wanted = null;
      },
      destroy: (error, done) => {
        ending.abort();
        wanted?.();
        done(error);
      },
    });
    const room = () => new Promise<void>((resolve) => (wanted = resolve));
    // Also of a client that reads no more.
    ending.signal.addEventListener('abort', () => wanted?.());
    // A comment keeps proxies from closing the connection, and finds clients that are gone.
    const heartbeat = setInterval(() => {
      if (wanted === null) stream.push(': heartbeat\n\n');
      void this.endWithKey(keyId, ending);
    }, HEARTBEAT_MS);
    const longest = setTimeout(() => ending.abort(), LONGEST_MS);
    // The head of the answer goes with this: what is appended once a client has it comes.
    const placed = (): void => void stream.push('retry: 1000\n: connected\n\n');
    void this.pour(events.tail(streamId, after, ending.signal, placed), stream, room, ending.signal).finally(() => {
      clearInterval(heartbeat);
      clearTimeout(longest);
      this.open.delete(ending);
      ending.abort();
      if (!stream.destroyed) stream.push(null);
    });
    return stream;
  }

  /** Whoever may not come in any more does not go on reading, either (trap 35). A store that is away says nothing of the key. */
  private async endWithKey(keyId: string, ending: AbortController): Promise<void> {
    if (!(await this.keys.isLive(keyId).catch(() => true))) ending.abort();
  }

  private async pour(
    entries: AsyncIterable<Parameters<typeof sseText>[0]>,
    stream: Readable,
    room: () => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for await (const entry of entries) {
        if (signal.aborted) return;
        if (!stream.push(sseText(entry))) await room();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.log.warn({ code: (error as { code?: unknown }).code }, 'a live tail ended early');
      stream.push('event: error\ndata: {"code":"log_unavailable"}\n\n');
    }
  }

  /** Ends all of them, for the gateway to end. */
  close(): void {
    for (const ending of this.open.keys()) ending.abort();
  }
}
