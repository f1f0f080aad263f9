import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '../temp-dir.js';
import { openTree } from './open-tree.js';

describe('a tree that a strict umask has kept to its owner', () => {
  it('is opened to everybody for reading, programs for running; nothing becomes a program', () => {
    const root = tempDir('open-tree');
    mkdirSync(path.join(root, 'native/bin'), { recursive: true, mode: 0o700 });
    writeFileSync(path.join(root, 'native/bin/postgres'), '', { mode: 0o700 });
    writeFileSync(path.join(root, 'native/list.json'), '', { mode: 0o600 });
    symlinkSync('nowhere', path.join(root, 'native/link'));
    openTree(root);
    const modes = ['', 'native', 'native/bin', 'native/bin/postgres', 'native/list.json'].map((name) =>
      (statSync(path.join(root, name)).mode & 0o777).toString(8),
    );
    expect(modes).toEqual(['755', '755', '755', '755', '644']);
  });
});
