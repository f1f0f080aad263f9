/** The parts of kafkajs 2.2.4 (pinned) that are used one by one, without its own ideas of when to try again. */
declare module 'kafkajs/src/network/connection.js' {
  interface Request {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<unknown>;
  }
  interface Response<D, R> {
    decode(payload: Buffer): Promise<D>;
    parse(decoded: D): Promise<R>;
  }
  export default class Connection {
    constructor(options: Readonly<Record<string, unknown>>);
    readonly requestQueue: { scheduleCheckPendingRequests(): void; maybeThrottle(ms: number): void };
    connect(): Promise<boolean>;
    authenticate(): Promise<void>;
    isConnected(): boolean;
    setVersions(versions: unknown): void;
    setSupportAuthenticationProtocol(supported: boolean): void;
    rejectRequests(error: Error): void;
    disconnect(): Promise<boolean>;
    send<D, R>(call: {
      readonly request: Request;
      readonly response: Response<D, R>;
      readonly requestTimeout?: number;
      readonly logResponseError?: boolean;
    }): Promise<R>;
  }
}

declare module 'kafkajs/src/protocol/encoder.js' {
  export default class Encoder {
    constructor(initialSize?: number);
    writeBuffer(value: Buffer): this;
  }
}
