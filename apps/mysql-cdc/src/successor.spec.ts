import { systemClock } from '@planasonix/core';
import { GtidSet } from './gtid-set.js';
import type { GtidsAtDeps } from './gtids-at.js';
import type { Server } from './server.js';
import type { Session } from './session.js';
import { placeOf } from './successor.js';

const MARIADB: Server = {
  ...{ flavor: 'mariadb', version: '10.11.4-MariaDB', number: 101_104, identity: 'x', serverId: 2, foldsCase: false },
};

/** A server without any transaction, which logs what it replicates, and answers the question from where with an error. */
const refusing = (errno: number): Session => {
  const query = (sql: string) =>
    /^SHOW ALL SLAVES/.test(sql)
      ? Promise.reject(Object.assign(new Error('refused'), { errno }))
      : Promise.resolve(/log\\_slave/.test(sql) ? [{ Value: 'ON' }] : []);
  const value = (sql: string) => Promise.resolve(/CURRENT_USER/.test(sql) ? 'few@%' : '');
  return { query, value } as unknown as Session;
};

describe('a server that lacks what was read, and does not say whether that is on its way', () => {
  const found = (errno: number) => {
    const deps = { session: refusing(errno), server: MARIADB, clock: systemClock } as unknown as GtidsAtDeps;
    return placeOf(deps, GtidSet.parse('mariadb', '0-1-7')!, null);
  };

  it('is waited for where a right is missing, which is named', async () => {
    await expect(found(1227)).rejects.toMatchObject({
      code: 'source_unreachable',
      hint: expect.stringContaining("GRANT SLAVE MONITOR ON *.* TO 'few'@'%';") as string,
    });
  });

  it.each([1064, 1235, 4711])('is another one where it refuses for another reason: error %i', async (errno) => {
    await expect(found(errno)).rejects.toMatchObject({ code: 'source_identity_changed' });
  });
});
