import { readFileSync } from 'node:fs';

/** Whether a process runs. A zombie that nobody has fetched yet has ended too. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    // No Linux, or gone just now.
    return process.platform !== 'linux';
  }
}
