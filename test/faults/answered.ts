/** Requests to a gateway that may just have died. */
import { eventually } from '@planasonix/testing';
import type { Answer, Stack } from '../stack.js';

/** Asked again until it is answered, and not with 5xx. */
export function answered(
  stack: Stack,
  method: string,
  route: string,
  { body, timeoutMs = 60_000 }: { readonly body?: unknown; readonly timeoutMs?: number | undefined } = {},
): Promise<Answer> {
  return eventually(
    `${method} ${route} is answered`,
    async () => {
      const answer = await stack.api(method, route, body);
      if (answer.status >= 500) throw new Error(`${answer.status} ${answer.text}`);
      return answer;
    },
    { timeoutMs, everyMs: 100 },
  );
}
