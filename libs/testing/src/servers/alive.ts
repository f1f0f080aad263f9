import { readFileSync } from 'node:fs';

/** What Linux says of a process; `null`: there is none, or another system. `born`: ticks since the machine's start. */
export function processOf(
  pid: number,
): { readonly zombie: boolean; readonly parent: number; readonly born: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { zombie: fields[0] === 'Z', parent: Number(fields[1]), born: fields[19]! };
  } catch {
    return null;
  }
}

/** Whether a process runs. A zombie that nobody has fetched yet has ended too. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const found = processOf(pid);
  return found === null ? process.platform !== 'linux' : !found.zombie;
}
