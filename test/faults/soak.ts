export async function soak(_args: readonly string[], say: (line: string) => void): Promise<number> {
  say('soak: comes next');
  return Promise.resolve(1);
}
