/** A command or a question that could not be carried out, in the words of the contract. */
export class LifecycleError extends Error {
  constructor(
    readonly httpStatus: 400 | 404 | 409 | 503,
    readonly code: string,
    message: string,
    readonly hint: string | null = null,
    readonly details: readonly { readonly field: string; readonly issue: string }[] = [],
  ) {
    super(message);
    this.name = 'LifecycleError';
  }
}
