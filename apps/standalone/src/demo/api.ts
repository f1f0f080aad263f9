/** The product's REST API, as any user calls it. */
export interface Api {
  /** Answer of a call that succeeded. @throws Error with code, message and hint of one that did not. */
  call<T>(method: string, route: string, body?: object): Promise<T>;
}

export interface StreamAnswer {
  readonly data: {
    readonly id: string;
    readonly attributes: {
      readonly status: string;
      readonly last_error: { readonly code: string; readonly message: string; readonly hint?: string } | null;
      readonly snapshot?: { readonly state: string; readonly rows_done: number; readonly tables_done: number } | null;
    };
  };
}

export interface MetricsAnswer {
  readonly data: {
    readonly attributes: {
      readonly events_per_second: number;
      readonly bytes_per_second: number;
      readonly lag_seconds: number;
      readonly total_events: number;
      readonly total_bytes: number;
      readonly source_retention: {
        readonly held_bytes: number;
        readonly bytes_to_loss: number | null;
        readonly seconds_to_loss: number | null;
        readonly over_budget: boolean;
      } | null;
      readonly latency_ms: {
        readonly p50: number | null;
        readonly p95: number | null;
        readonly p99: number | null;
      } | null;
    };
  };
}

interface ErrorAnswer {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
    readonly details?: unknown;
  };
}

export const openApi = (url: string, key: string): Api => ({
  async call<T>(method: string, route: string, body?: object): Promise<T> {
    const response = await fetch(`${url}/api${route}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      body: body ? JSON.stringify(body) : undefined,
      signal: AbortSignal.timeout(15_000),
    });
    const answer = (await response.json()) as T | ErrorAnswer;
    if (response.ok) return answer as T;
    const { code, message, hint, details } = (answer as ErrorAnswer).error;
    throw new Error(
      `${method} ${route}: ${response.status} ${code}: ${message} ${hint ?? ''} ${details ? JSON.stringify(details) : ''}`.trim(),
    );
  },
});
