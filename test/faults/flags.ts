/** `--seed 3 --long` over defaults, which also say of what kind each flag is. */
export function readFlags<T extends Readonly<Record<string, number | string | boolean>>>(
  args: readonly string[],
  defaults: T,
): T {
  const found: Record<string, number | string | boolean> = { ...defaults };
  for (let i = 0; i < args.length; i++) {
    const name = args[i]!.replace(/^--(no-)?/, '');
    const fallback = defaults[name];
    if (!args[i]!.startsWith('--') || fallback === undefined)
      throw new Error(
        `${args[i]} is not known; there are ${Object.keys(defaults)
          .map((one) => `--${one}`)
          .join(' ')}`,
      );
    if (typeof fallback === 'boolean') {
      found[name] = !args[i]!.startsWith('--no-');
      continue;
    }
    const value = args[++i];
    if (value === undefined || (typeof fallback === 'number' && !/^\d+$/.test(value)))
      throw new Error(`--${name} needs a ${typeof fallback === 'number' ? 'whole number' : 'value'}`);
    found[name] = typeof fallback === 'number' ? Number(value) : value;
  }
  return found as T;
}
