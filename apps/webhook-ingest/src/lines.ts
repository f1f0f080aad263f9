import type { IncomingMessage, RequestListener } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Requests of one connection that are worked on at once; and those of all connections that came before the answer to the
 * one before them was sent. Invariant 6.
 */
const MOST = { underWay: 16, ahead: 10_000 } as const;

interface Line {
  /** In the order in which they came. */
  readonly unanswered: Set<IncomingMessage>;
  readonly waiting: (() => void)[];
}

/**
 * What each connection has sent and was not answered yet. Node reads on while answers are being made: 64 kB are some thousand
 * requests without bodies. So a connection is not read while one of its requests waits for those before it: who sends ahead
 * (pipelining) loses nothing, and is as fast as he is answered.
 */
export class Lines {
  readonly #lines = new WeakMap<Socket, Line>();
  #ahead = 0;

  /** @param ended is told of each connection that is ended here */
  constructor(
    private readonly most: { readonly underWay: number; readonly ahead: number } = MOST,
    private readonly ended: () => void = () => undefined,
  ) {}

  /** Hands requests on, few of each connection at a time; a connection that sends ahead when too much was, is ended. */
  listener(handle: RequestListener): RequestListener {
    return (request, response) => {
      const { socket } = request;
      // Also what the same bytes have brought behind the request that ended it.
      if (socket.destroyed) return;
      const line = this.#lineOf(socket);
      const { unanswered, waiting } = line;
      if (unanswered.size > 0 && this.#ahead >= this.most.ahead) {
        this.ended();
        return void socket.destroy();
      }
      if (unanswered.size > 0) this.#ahead++;
      unanswered.add(request);
      response.once('finish', () => this.#answered(socket, line, request));
      if (unanswered.size <= this.most.underWay) return handle(request, response);
      waiting.push(() => handle(request, response));
      socket.pause();
    };
  }

  /** What went wrong on this connection belongs to the request that will be answered next: it was not read to its end. */
  isAtFirst(socket: Socket): boolean {
    const [first] = this.#lines.get(socket)?.unanswered ?? [];
    return first?.complete !== true;
  }

  #lineOf(socket: Socket): Line {
    const found = this.#lines.get(socket);
    if (found !== undefined) return found;
    const line: Line = { unanswered: new Set(), waiting: [] };
    this.#lines.set(socket, line);
    // A request whose body is read has the connection read on.
    socket.on('resume', () => {
      if (line.waiting.length > 0) socket.pause();
    });
    socket.once('close', () => {
      this.#ahead -= Math.max(0, line.unanswered.size - 1);
      line.unanswered.clear();
      line.waiting.length = 0;
    });
    return line;
  }

  #answered(socket: Socket, { unanswered, waiting }: Line, request: IncomingMessage): void {
    if (!unanswered.delete(request)) return;
    if (unanswered.size > 0) this.#ahead--;
    const next = waiting.shift();
    if (next === undefined) return;
    if (waiting.length === 0) socket.resume();
    next();
  }
}
