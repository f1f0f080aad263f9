import { StreamError } from '@planasonix/core';
import { fileBase, fileNumber, type MySqlPosition } from './position.js';
import { logFiles, type LogFile, type Server } from './server.js';
import type { Session } from './session.js';

/**
 * Whether the server's log still has a place, by what can be asked; that it is the same log is proved by reading (trap 20a).
 * @throws StreamError `log_purged`, `source_identity_changed`
 */
export async function holdsPlace(
  session: Session,
  server: Server,
  position: MySqlPosition,
): Promise<readonly LogFile[]> {
  const unproved = position.proof === null && position.head === null;
  if (position.server !== server.identity && (server.flavor === 'mysql' || unproved))
    throw new StreamError('source_identity_changed', 'Another server answers at this address.');
  const files = await logFiles(session);
  const found = files.find(({ file }) => file === position.file);
  const [first] = files;
  if (found === undefined) {
    const purged =
      first !== undefined &&
      fileBase(first.file) === fileBase(position.file) &&
      fileNumber(position.file) < fileNumber(first.file);
    throw purged
      ? new StreamError('log_purged', `The server has thrown away ${position.file}; its log begins with ${first.file}.`)
      : new StreamError('source_identity_changed', `The log of the server has no ${position.file}.`);
  }
  if (found.bytes < position.pos)
    throw new StreamError(
      'source_identity_changed',
      `${position.file} ends before ${position.pos}: it was reset or cut off by a crash.`,
    );
  return files;
}

/** Bytes of the log from a place to its end. */
export const bytesBehind = (
  files: readonly LogFile[],
  { file, pos }: { readonly file: string; readonly pos: number },
): number =>
  files.filter((one) => fileNumber(one.file) >= fileNumber(file)).reduce((sum, { bytes }) => sum + bytes, -pos);
