/** The short form of the fault battery (`npm run test:faults`): every crash point, and one fault of each family that needs no scene of its own. */
import { FAMILIES } from './faults/families.js';
import type { Fault } from './faults/fault.js';
import { crashPointFaults } from './faults/kills.js';
import { CHARGES } from './faults/oracle.js';
import { playRound, type Round } from './faults/round.js';
import { Scene } from './faults/scene.js';

jest.setTimeout(300_000);

const SEED = 20;

const ONE_OF_EACH = [
  'network/source reset in mid-message',
  'postgres/slot advanced',
  'redis/SIGKILL and start',
  'store/SIGKILL and start',
];

const named = (name: string): Fault =>
  FAMILIES.flat().find((fault) => `${fault.family}/${fault.name}` === name) ??
  (() => {
    throw new Error(`there is no fault ${name}`);
  })();

const charges = ({ findings }: Round): string[] =>
  CHARGES.flatMap((charge) => findings[charge].map((what) => `${charge}: ${what}`));

/**
 * The seed is fixed, so that a failure is seen again: `npx jest --selectProjects system --testPathPatterns faults.system -t NAME`.
 * `npm run test:faults -- --seed 20 --only NAME` is a similar round: of one worker, whose leases are sat out.
 */
function play(faults: readonly Fault[]): void {
  let scene: Scene | null = null;
  const end = async (): Promise<void> => {
    await scene?.end();
    scene = null;
  };
  afterAll(end);

  it.each(faults.map((fault) => [`${fault.family}/${fault.name} (traps ${fault.traps.join(', ')})`, fault] as const))(
    '%s: every committed change once, nothing else, whole, in order',
    async (_name, fault) => {
      scene ??= await Scene.open({ seed: SEED, workers: 2, hasty: true });
      let round: Round | null = null;
      try {
        round = await playRound(scene, fault, SEED);
      } finally {
        // One failure must not be all that come after it.
        if (round === null || charges(round).length > 0) await end();
      }
      expect(charges(round)).toEqual([]);
      expect(round.findings.changes).toBeGreaterThan(0);
      if (fault.told?.must) expect(fault.told.codes).toContain(round.told?.code);
    },
  );
}

describe('faults, with two workers', () => {
  play([...crashPointFaults, ...ONE_OF_EACH.map(named)]);
});
