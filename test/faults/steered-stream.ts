/** The stream of a scene, steered and looked at over the product's API, as every world of the battery does. */
import { eventually } from '@planasonix/testing';
import type { Answer, Stack } from '../stack.js';
import { answered } from './answered.js';

export type Verb = 'stop' | 'pause' | 'resume';

export abstract class SteeredStream {
  protected constructor(
    readonly stack: Stack,
    readonly streamId: string,
  ) {}

  /** A request that a gateway which has just died may fail: asked again. */
  ask(method: string, route: string, body?: unknown, timeoutMs?: number): Promise<Answer> {
    return answered(this.stack, method, route, { body, timeoutMs });
  }

  async stream(id = this.streamId): Promise<Answer['a']> {
    return (await this.ask('GET', `/api/streams/${id}`)).a;
  }

  async start(body: object = {}, id = this.streamId): Promise<void> {
    const answer = await this.ask('POST', `/api/streams/${id}/start`, body);
    if (answer.status !== 200) throw new Error(`start: ${answer.status} ${answer.text}`);
  }

  async command(verb: Verb, id = this.streamId): Promise<void> {
    const answer = await this.ask('POST', `/api/streams/${id}/${verb}`);
    if (answer.status !== 200) throw new Error(`${verb}: ${answer.status} ${answer.text}`);
  }

  /** @throws when it does not come to that, with what it says in its place */
  status(wanted: readonly string[], id = this.streamId, timeoutMs = 90_000): Promise<string> {
    return eventually(
      `the stream is ${wanted.join(' or ')}`,
      async () => {
        const { status, last_error: error } = await this.stream(id);
        if (wanted.includes(status as string)) return status as string;
        throw new Error(`it is ${status}, last error ${error?.code} ${error?.message}`);
      },
      { timeoutMs, everyMs: 100 },
    );
  }

  async running(id = this.streamId, timeoutMs?: number): Promise<void> {
    await this.status(['running'], id, timeoutMs);
  }
}
