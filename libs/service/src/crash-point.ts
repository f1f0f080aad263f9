import { readFileSync, unlinkSync } from 'node:fs';
import { STEPS, type Step, type Steps } from '@planasonix/core';

/** `log-appended:3` → the third time that step is reached from when it was seen. `null`: not a crash point. */
export function parseCrash(text: string): { readonly step: Step; readonly count: number } | null {
  const [name, count = '1', rest] = text.trim().split(':');
  const step = STEPS.find((one) => one === name);
  return step !== undefined && rest === undefined && /^[1-9]\d{0,6}$/.test(count)
    ? { step, count: Number(count) }
    : null;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The file goes first: one file ends one process, and that which is started in its place lives. */
function take(file: string): boolean {
  try {
    unlinkSync(file);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ends this process by SIGKILL at the step that `file` names (`step` or `step:count`), once. The file may come at any
 * time. Without a file name there is no hook at all, and nobody asks.
 *
 * @param end for the spec of this file
 */
export function crashPoints(
  file: string | undefined,
  end: () => void = () => process.kill(process.pid, 'SIGKILL'),
): Steps | undefined {
  if (file === undefined) return undefined;
  let text = '';
  let armed: ReturnType<typeof parseCrash> = null;
  let left = 0;
  return (step) => {
    // Looked for at every step: a test that has written it knows that the next step sees it.
    const found = read(file);
    if (found !== text) {
      text = found;
      armed = parseCrash(found);
      left = armed?.count ?? 0;
    }
    if (armed?.step !== step || --left > 0) return;
    armed = null;
    if (take(file)) end();
  };
}
