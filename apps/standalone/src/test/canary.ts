import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { guardFolder } from '@planasonix/testing';
import { runCommand } from './commands.js';

const RULE = '@nx/enforce-module-boundaries';

/**
 * The rule about who may import whom passes in silence when it finds no project graph. So a file that breaks it is
 * put into the core, and eslint has to fail on it.
 *
 * @returns `null` when all is well, else what is wrong.
 */
export async function moduleBoundaryCanary(root: string): Promise<string | null> {
  const file = path.join(root, 'libs/core/src/boundary-canary.ts');
  const release = guardFolder(file);
  writeFileSync(file, "import * as engine from '@planasonix/engine';\nexport const canary = engine;\n");
  try {
    const { code, output } = await runCommand(root, 'npx', ['eslint', file]);
    if (code !== 0 && output.includes(RULE)) return null;
    return `eslint did not report ${RULE} for a core file that imports the engine:\n${output}`;
  } finally {
    rmSync(file, { force: true });
    release();
  }
}
