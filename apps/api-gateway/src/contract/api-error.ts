import { API_ERRORS, type ApiErrorCode } from './error-table.js';

/** One thing that is wrong with a request. `field` is a dotted path in snake_case; empty for the body as a whole. */
export interface Detail {
  readonly field: string;
  readonly issue: string;
}

export interface ApiErrorOptions {
  readonly message?: string;
  readonly hint?: string;
  readonly details?: readonly Detail[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** An answer other than success. The message is for users: no secret, no value of a row. */
export class ApiError extends Error {
  readonly status: number;
  readonly hint: string | null;
  readonly details: readonly Detail[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly code: ApiErrorCode,
    options: ApiErrorOptions = {},
  ) {
    const entry: { status: number; message: string; hint?: string } = API_ERRORS[code];
    super(options.message ?? entry.message, { cause: options.cause });
    this.name = 'ApiError';
    this.status = entry.status;
    this.hint = options.hint ?? entry.hint ?? null;
    this.details = options.details ?? [];
    this.headers = { ...(entry.status === 503 ? { 'retry-after': '2' } : {}), ...options.headers };
  }
}

/** What is wrong with one field, or with the body as a whole, as a sentence without its full stop. */
export const inWords = ({ field, issue }: Detail): string =>
  field === '' ? `The body ${issue}` : `${field}: ${issue}`;

/** 400 for one field; `field` as in a {@link Detail}. */
export const badField = (field: string, issue: string, hint?: string): ApiError =>
  new ApiError('invalid_request', { message: inWords({ field, issue }), details: [{ field, issue }], hint });

export interface ErrorBody {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: readonly Detail[];
    readonly hint?: string;
    readonly request_id: string;
  };
}

export const errorBody = (error: ApiError, requestId: string): ErrorBody => ({
  error: {
    code: error.code,
    message: error.message,
    details: error.details,
    ...(error.hint === null ? {} : { hint: error.hint }),
    request_id: requestId,
  },
});
