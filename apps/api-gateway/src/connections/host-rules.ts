import type { HostPolicy } from '@planasonix/outbound';
import { ApiError } from '../contract/api-error.js';
import { endpointsOf } from './connection-config.js';

/** A name server that does not answer must not hold a request: the host is judged again at each dial. */
const LOOKUP_MS = 2000;

/** Which hosts a connection may name. What is judged here is judged again, and pinned, where it is dialled. */
export class HostRules {
  constructor(private readonly policy: HostPolicy) {}

  /** @throws ApiError `host_forbidden`, with the field. */
  async check(config: Readonly<Record<string, unknown>>): Promise<void> {
    const endpoints = endpointsOf(config);
    const verdicts = await Promise.all(
      endpoints.map(({ host, port, database }) => this.within(this.policy.check(host, port, database))),
    );
    const details = endpoints.flatMap(({ field }, i) => (verdicts[i] === null ? [] : [{ field, issue: verdicts[i]! }]));
    if (details.length > 0)
      throw new ApiError('host_forbidden', { message: `The host ${details[0]!.issue}.`, details });
  }

  private async within(check: Promise<string | null>): Promise<string | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), LOOKUP_MS)));
    return Promise.race([check, late]).finally(() => clearTimeout(timer));
  }
}
