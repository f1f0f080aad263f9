/** Plays faults, each in a scene of its wishes; a scene in which something went wrong is not used again. */
import type { Fault } from './fault.js';
import { CHARGES } from './oracle.js';
import { isClean, playRound, type Round } from './round.js';
import { Scene } from './scene.js';

export interface Planned {
  readonly fault: Fault;
  readonly seed: number;
}

export interface Outcome extends Planned {
  readonly round: Round | null;
  /** It could not be judged: what happened. */
  readonly failure: string | null;
}

export async function playAll(
  planned: readonly Planned[],
  say: (line: string) => void,
  done: (outcome: Outcome) => void,
): Promise<void> {
  let scene: Scene | null = null;
  let wishes = '';
  try {
    for (const [i, { fault, seed }] of planned.entries()) {
      const wanted = JSON.stringify(fault.scene ?? {});
      if (scene !== null && wanted !== wishes) {
        await scene.end();
        scene = null;
      }
      wishes = wanted;
      const began = Date.now();
      let outcome: Outcome;
      try {
        scene ??= await Scene.open({ seed, ...fault.scene });
        const round = await playRound(scene, fault, seed);
        outcome = { fault, seed, round, failure: null };
      } catch (error) {
        outcome = { fault, seed, round: null, failure: error instanceof Error ? error.message : String(error) };
      }
      say(`${String(i + 1).padStart(3)}/${planned.length} ${line(outcome, Date.now() - began)}`);
      done(outcome);
      if (outcome.round === null || !isClean(outcome.round)) {
        if (scene !== null) say(`    the product's log: ${scene.stack.logFile}`);
        await scene?.end();
        scene = null;
      }
    }
  } finally {
    await scene?.end();
  }
}

function line({ fault, seed, round, failure }: Outcome, ms: number): string {
  const name = `${fault.family}/${fault.name} (seed ${seed})`;
  const took = `${(ms / 1000).toFixed(1)} s`;
  if (round === null) return `FAILED ${name}: ${failure}; ${took}`;
  const { findings, recoveryMs, told } = round;
  const charges = CHARGES.flatMap((charge) => findings[charge].map((what) => `\n    ${charge}: ${what}`));
  return [
    isClean(round) ? 'ok' : 'WRONG',
    `${name}: ${findings.changes} changes in ${findings.transactions} transactions,`,
    `recovery ${(recoveryMs / 1000).toFixed(2)} s${told === null ? '' : `, told ${told}`}`,
    `${findings.excused > 0 ? `, ${findings.excused} excused` : ''}; ${took}`,
    charges.slice(0, 12).join(''),
    charges.length > 12 ? `\n    and ${charges.length - 12} more` : '',
  ].join(' ');
}
