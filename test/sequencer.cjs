/**
 * The longest suites begin first, so that none of them is what all others have to be waited for at the end. Jest would
 * go by the size of the files, where it has not seen them run.
 */
const { existsSync } = require('node:fs');
const path = require('node:path');
const { default: Sequencer } = require('@jest/test-sequencer');

/** What takes most of a minute or more, longest first. */
const LONG = [
  'test/faults.system.spec.ts',
  'test/care.system.spec.ts',
  'test/kafka-spread.system.spec.ts',
  'test/kafka.system.spec.ts',
  'test/kafka-log.system.spec.ts',
  'test/demo.system.spec.ts',
  'test/exactness.system.spec.ts',
  'test/mysql.system.spec.ts',
  'test/mysql-kafka.system.spec.ts',
  'test/scale.system.spec.ts',
  'libs/sinks/src/kafka/three-nodes.int.spec.ts',
  'apps/kafka-ingest/src/faults.int.spec.ts',
  'apps/postgres-cdc/src/rows/rows.int.spec.ts',
  'apps/mysql-cdc/src/rows/beside.int.spec.ts',
];

for (const name of LONG)
  if (!existsSync(path.join(__dirname, '..', name)))
    throw new Error(`${name} is not there any more: correct the list.`);

const rank = (test) => {
  const index = LONG.findIndex((name) => test.path.endsWith(`/${name}`));
  return index < 0 ? LONG.length : index;
};

module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
};
