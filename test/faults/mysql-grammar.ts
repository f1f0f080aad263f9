/**
 * What the battery says to MariaDB and MySQL, which give no rows back for a change: they are asked for in the same
 * transaction, before a delete and after everything else. Their order is that of the key, as that of the changes is.
 */
import type { Change } from './ledger.js';
import type { Grammar } from './origin.js';
import type { Row } from './rows.js';
import { gone, made, marked } from './statements.js';
import { FLEETING, keyText, ownRows, TABLES } from './tables.js';
import { placeOfGtids } from './log-law.js';

/** Rows that the statement before has made or changed, not such as it found the same. */
const COUNTED = 'ROW_COUNT()';
const ALTER_EVERY = 50;

const without = ({ counted: _, ...row }: Row): Row => row;
/** Behind other columns than it was before, each time. */
const PLACES = ['FIRST', 'AFTER id', ''];

/** @param gtids expression of what the server has committed */
export const mysqlGrammar = (gtids: string): Grammar => ({
  mark: (writer, n) => ({
    sql: `SELECT ${gtids} INTO @place; UPDATE ${TABLES.marker.name} SET n = ? WHERE writer = ?; SELECT @place AS place`,
    values: [n, writer],
    effect: () => marked(writer, n),
    place: ([row]) => placeOfGtids(String(row!['place'])),
  }),
  put(of, row) {
    const names = Object.keys(row).map((name) => `"${name}"`);
    const key = of.key.map((name) => `"${name}" = ?`).join(' AND ');
    const changed = Object.keys(row).filter((name) => !of.key.includes(name));
    return {
      sql: `INSERT INTO ${of.name} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})
        ON DUPLICATE KEY UPDATE ${changed.map((name) => `"${name}" = VALUES("${name}")`).join(', ')};
        SELECT t.*, ${COUNTED} AS counted FROM ${of.name} t WHERE ${key}`,
      values: [...Object.values(row), ...of.key.map((name) => row[name])],
      effect: (rows) =>
        rows.flatMap((one) => (one['counted'] === 0 ? [] : made(of, one['counted'] === 1 ? 'c' : 'u', [without(one)]))),
    };
  },
  raise: (of, from, to) => ({
    sql: `UPDATE ${of.name} SET v = v + 1 WHERE id BETWEEN ? AND ? ORDER BY id; SELECT * FROM ${of.name} WHERE id BETWEEN ? AND ? ORDER BY id`,
    values: [from, to, from, to],
    effect: (rows) => made(of, 'u', rows),
  }),
  remove: (of, from, to) => ({
    sql: `SELECT * FROM ${of.name} WHERE id BETWEEN ? AND ? ORDER BY id FOR UPDATE; DELETE FROM ${of.name} WHERE id BETWEEN ? AND ? ORDER BY id`,
    values: [from, to, from, to],
    effect: (rows) => gone(of, rows),
  }),
  move: (of, from, to) => ({
    sql: `UPDATE IGNORE ${of.name} SET id = ? WHERE id = ?; SELECT * FROM ${of.name} WHERE id = ? AND ${COUNTED} = 1`,
    values: [to, from, to],
    effect: (rows) => [
      ...rows.map((): Change => ({ op: 'd', subject: of.subject, key: keyText(of, { id: from }), after: null })),
      ...made(of, 'c', rows),
    ],
  }),
  clear: (of, writer) => ({
    sql: `SELECT * FROM ${of.name} WHERE a BETWEEN ? AND ? ORDER BY a, "B" FOR UPDATE; DELETE FROM ${of.name} WHERE a BETWEEN ? AND ? ORDER BY a, "B"`,
    values: [...ownRows(writer), ...ownRows(writer)],
    effect: (rows) => gone(of, rows),
  }),
  fill(rows, seed) {
    const all = Array.from({ length: rows }, (_, i): Row => ({ id: i + 1, v: `${seed} of ${i + 1}` }));
    return [
      {
        sql: `INSERT INTO ${TABLES.bulk.name} VALUES ${all.map(({ id, v }) => `(${String(id)}, '${String(v)}')`).join(', ')}`,
        effect: () => made(TABLES.bulk, 'c', all),
      },
    ];
  },
  before(writer, n, large) {
    if (large) return [{ sql: `TRUNCATE ${TABLES.bulk.name}`, empties: TABLES.bulk.subject }];
    if (writer !== 2 || n % ALTER_EVERY !== 5) return [];
    // What is there already, or is not, is an error that nobody minds.
    const turn = Math.floor(n / ALTER_EVERY);
    const column = `${FLEETING} int NOT NULL DEFAULT ${turn}`;
    const change = turn % 2 === 0 ? `ADD ${column} ${PLACES[turn % PLACES.length]!}` : `DROP ${FLEETING}`;
    return [{ sql: `ALTER TABLE ${TABLES.shape.name} ${change}` }];
  },
});
