/** The shop as MariaDB has it: the same tables, of its own types. */

/** How the text of a column, as an event has it, is asked for. */
type Kind = 'number' | 'text' | 'json' | 'set' | 'date' | 'datetime' | 'datetime6' | 'timestamp6' | 'time' | 'binary';

export interface MysqlTable {
  readonly name: string;
  /** In the order of the table. */
  readonly columns: Readonly<Record<string, readonly [kind: Kind, declared: string]>>;
  readonly key: string;
}

export const MYSQL_TABLES: readonly MysqlTable[] = [
  {
    name: 'shop.customers',
    columns: {
      id: ['number', 'BIGINT UNSIGNED AUTO_INCREMENT'],
      email: ['text', 'VARCHAR(200) NOT NULL'],
      name: ['text', 'VARCHAR(100)'],
      country: ['text', 'CHAR(2)'],
      tags: ['set', `SET('new', 'vip', 'it''s "quoted"') NOT NULL DEFAULT ''`],
      profile: ['json', 'JSON'],
      points: ['number', 'DECIMAL(30, 10) NOT NULL DEFAULT 0'],
      joined: ['timestamp6', 'TIMESTAMP(6) NOT NULL DEFAULT NOW(6)'],
    },
    key: 'id',
  },
  {
    name: 'shop.products',
    columns: {
      sku: ['text', 'VARCHAR(60)'],
      title: ['text', 'VARCHAR(100) NOT NULL'],
      price: ['number', 'DECIMAL(12, 2) NOT NULL'],
      stock: ['number', 'INT NOT NULL'],
      manual: ['text', 'MEDIUMTEXT'],
      weight: ['number', 'DOUBLE'],
      changed: ['datetime6', 'DATETIME(6) NOT NULL DEFAULT NOW(6)'],
    },
    key: 'sku',
  },
  {
    name: 'shop.orders',
    columns: {
      id: ['number', 'BIGINT AUTO_INCREMENT'],
      customer_id: ['number', 'BIGINT NOT NULL'],
      status: ['text', `ENUM('placed', 'paid', 'packed', 'shipped', 'returned') NOT NULL DEFAULT 'placed'`],
      total: ['number', 'DECIMAL(20, 4) NOT NULL'],
      note: ['text', 'TEXT'],
      deliver: ['date', 'DATE'],
      token: ['binary', 'BINARY(16) NOT NULL'],
      placed: ['datetime', 'DATETIME NOT NULL DEFAULT NOW()'],
    },
    key: 'id',
  },
  {
    name: 'shop.order_items',
    columns: {
      order_id: ['number', 'BIGINT'],
      line: ['number', 'SMALLINT'],
      sku: ['text', 'VARCHAR(60) NOT NULL'],
      quantity: ['number', 'INT NOT NULL'],
      price: ['number', 'DECIMAL(12, 2) NOT NULL'],
    },
    key: 'order_id, line',
  },
  {
    name: 'shop.carts',
    columns: {
      customer_id: ['number', 'BIGINT'],
      items: ['json', 'JSON NOT NULL'],
      kept: ['time', `TIME NOT NULL DEFAULT '01:00:00'`],
    },
    key: 'customer_id',
  },
  {
    name: 'shop.marks',
    columns: { id: ['number', 'INT'], at: ['datetime6', 'DATETIME(6) NOT NULL DEFAULT NOW(6)'] },
    key: 'id',
  },
];

const created = ({ name, columns, key }: MysqlTable): string =>
  `CREATE TABLE ${name} (${Object.entries(columns)
    .map(([column, [, declared]]) => `\`${column}\` ${declared}`)
    .join(', ')}, PRIMARY KEY (${key}))`;

/** Text of about `kilobytes`. */
export const bigMysqlText = (kilobytes: string): string => `REPEAT(MD5(RAND()), 32 * ${kilobytes})`;

export const MYSQL_OPENING: readonly string[] = [
  'CREATE DATABASE shop CHARACTER SET utf8mb4',
  ...MYSQL_TABLES.map(created),
  `INSERT INTO shop.customers (email, name, country, tags, profile, points)
     SELECT CONCAT('c', seq, '@example.com'), CONCAT('Customer ', seq), ELT(1 + seq % 4, 'DE', 'FR', 'JP', 'BR'), seq % 8,
            CONCAT('{"n":', seq, ',"big":12345678901234567890.10}'), seq * 1.10
     FROM shop.seq_1_to_2000`,
  `INSERT INTO shop.products (sku, title, price, stock, manual, weight)
     SELECT CONCAT('sku-', seq), CONCAT('Product ', seq), seq * 1.25, 1000, ${bigMysqlText('(1 + seq % 12)')}, seq / 3e0
     FROM shop.seq_1_to_200`,
  `INSERT INTO shop.orders (customer_id, total, note, deliver, token)
     SELECT 1 + seq % 2000, seq * 3.3333, NULLIF(CONCAT('note ', seq % 5), 'note 0'), CURRENT_DATE + INTERVAL seq % 9 DAY, UNHEX(MD5(seq))
     FROM shop.seq_1_to_3000`,
  `INSERT INTO shop.order_items
     SELECT o.seq, l.seq, CONCAT('sku-', 1 + o.seq % 200), 1 + o.seq % 5, o.seq * 0.1 FROM shop.seq_1_to_3000 AS o, shop.seq_1_to_2 AS l`,
];

/** SQL of the text that a column's JSON is made of. */
const SHOWN: Readonly<Record<Kind, (column: string) => string>> = {
  number: (column) => `CAST(${column} AS CHAR)`,
  text: (column) => column,
  // As JSON the client would read it.
  json: (column) => `CONVERT(${column} USING utf8mb4)`,
  set: (column) => `CAST(${column} + 0 AS CHAR)`,
  date: (column) => `CAST(${column} AS CHAR)`,
  time: (column) => `CAST(${column} AS CHAR)`,
  datetime: (column) => `DATE_FORMAT(${column}, '%Y-%m-%dT%H:%i:%s')`,
  datetime6: (column) => `DATE_FORMAT(${column}, '%Y-%m-%dT%H:%i:%s.%f')`,
  timestamp6: (column) => `DATE_FORMAT(${column}, '%Y-%m-%dT%H:%i:%s.%fZ')`,
  binary: (column) => `TO_BASE64(${column})`,
};

/** Selects the rows of a table; `jsonTextsOf` reads them. The session is to be in UTC. */
export const selectTexts = ({ name, columns }: MysqlTable): string =>
  `SELECT ${Object.entries(columns)
    .map(([column, [kind]]) => `${SHOWN[kind](`\`${column}\``)} AS \`${column}\``)
    .join(', ')} FROM ${name}`;

/** Column → the JSON text that an event has to have for it. */
export function jsonTextsOf(
  { columns }: MysqlTable,
  row: Readonly<Record<string, string | null>>,
): ReadonlyMap<string, string> {
  const text = (column: string, [kind, declared]: readonly [Kind, string]): string => {
    const shown = row[column] ?? null;
    if (shown === null) return 'null';
    if (kind === 'number' || kind === 'json') return shown;
    return kind === 'set' ? labelsText(declared, Number(shown)) : JSON.stringify(shown);
  };
  return new Map(Object.entries(columns).map(([column, how]) => [column, text(column, how)]));
}

/** The labels of a SET whose bits are set. */
function labelsText(declared: string, bits: number): string {
  const labels = [...declared.matchAll(/'((?:[^']|'')*)'(?=,|\))/g)].map(([, label]) => label!.replaceAll("''", "'"));
  return JSON.stringify(labels.filter((_, bit) => (bits >> bit) & 1));
}
