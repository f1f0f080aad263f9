/** A disk that can be filled: a tmpfs of its own, which only root on Linux may mount. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface SmallDisk {
  readonly dir: string;
  /** Leaves a few pages. */
  fill(): void;
  free(): void;
  unmount(): void;
}

/** `null`: it can be made here. */
export const smallDiskMissing = (): string | null =>
  process.platform === 'linux' && process.getuid?.() === 0 ? null : 'a small disk can only be mounted by root on Linux';

const LEFT_BYTES = 64 * 1024;

export function mountSmallDisk(mib: number): SmallDisk {
  const dir = mkdtempSync(path.join(tmpdir(), 'planasonix-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'planasonix-test', dir]);
  const filler = path.join(dir, 'filler');
  const unmount = () => disk.unmount();
  let mounted = true;
  const disk: SmallDisk = {
    dir,
    fill() {
      const { bavail, bsize } = statfsSync(dir);
      execFileSync('fallocate', ['-l', String(Math.max(bsize, bavail * bsize - LEFT_BYTES)), filler]);
    },
    free: () => rmSync(filler, { force: true }),
    unmount() {
      if (!mounted) return;
      mounted = false;
      process.off('exit', unmount);
      // Lazily: where we end by accident, the server that uses it ends a moment later.
      execFileSync('umount', ['-l', dir]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
  process.once('exit', unmount);
  return disk;
}
