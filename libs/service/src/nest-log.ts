import type { LoggerService } from '@nestjs/common';
import type { Logger } from 'pino';

/** The same complaint again within this time is not said again: a transport repeats it at each attempt. */
const QUIET_MS = 30_000;
const MOST_KEPT = 100;

/** What Nest itself says. Its boot report is for debugging; a service has better to tell. */
export class NestLog implements LoggerService {
  private readonly said = new Map<string, number>();

  constructor(
    private readonly logger: Logger,
    private readonly now: () => number = Date.now,
  ) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.logger.debug({ context: rest.at(-1) }, text(message));
  }
  error(message: unknown, ...rest: unknown[]): void {
    if (this.isNews(`error ${text(message)}`))
      this.logger.error({ ...subject(message), context: rest.at(-1) }, text(message));
  }
  warn(message: unknown, ...rest: unknown[]): void {
    if (this.isNews(`warn ${text(message)}`))
      this.logger.warn({ ...subject(message), context: rest.at(-1) }, text(message));
  }
  debug(message: unknown, ...rest: unknown[]): void {
    this.logger.debug({ context: rest.at(-1) }, text(message));
  }
  verbose(message: unknown, ...rest: unknown[]): void {
    this.logger.trace({ context: rest.at(-1) }, text(message));
  }

  private isNews(what: string): boolean {
    const now = this.now();
    if ((this.said.get(what) ?? -Infinity) > now - QUIET_MS) return false;
    if (this.said.size >= MOST_KEPT) this.said.clear();
    this.said.set(what, now);
    return true;
  }
}

const subject = (message: unknown): object => (message instanceof Error ? { err: message } : {});

/** An error that several addresses gave (`localhost` as IPv4 and IPv6) has no message of its own. */
const text = (message: unknown): string => {
  if (message instanceof AggregateError && message.message === '')
    return message.errors.map((one) => (one instanceof Error ? one.message : String(one))).join('; ');
  return message instanceof Error ? message.message : typeof message === 'string' ? message : JSON.stringify(message);
};
