/** Headers that go into no event, in lower case: they carry secrets, or are of the connection and not of the delivery. */
export const ALWAYS_HIDDEN = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'connection',
  'transfer-encoding',
  'host',
] as const;

/**
 * Names of headers except some, whatever their case: for the gateway, which knows a schema alone.
 * @param hidden in lower case
 */
export const exceptHeaders = (hidden: readonly string[]): RegExp =>
  new RegExp(`^(?!(?:${hidden.map(anyCase).join('|')})$)[A-Za-z0-9!#$%&'*+.^_\`|~-]{1,100}$`);

const anyCase = (name: string): string =>
  name.replace(/[^a-z0-9-]/g, (char) => `\\${char}`).replace(/[a-z]/g, (char) => `[${char}${char.toUpperCase()}]`);
