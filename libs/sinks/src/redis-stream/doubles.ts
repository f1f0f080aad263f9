import type { Redis } from 'ioredis';
import { sourceOf } from './keys.js';

/**
 * KEYS: entries, hash. @returns how many entries were ever added beyond those that were counted and those that are known to be
 * double (0 where Redis does not say: before 7.0); how many were counted; the same when others were first looked for in vain, or -1;
 * how many are known to be double; how many are about a megabyte; the cursor of the last one that was counted (`''`: not known)
 */
const BEYOND = `
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
local known = redis.call('HMGET', KEYS[2], 'events', 'double', 'looked', 'bytes', 'end')
local events = tonumber(known[1] or 0)
local at, last = string.match(known[5] or '', '^(%S+) (%S+)$')
if tonumber(at) ~= events then last = nil end
if not info.err then
  for i = 1, #info, 2 do
    if info[i] == 'entries-added' then
      local double = tonumber(known[2] or 0)
      local most = math.floor(1e6 * events / math.max(tonumber(known[4] or 0), 1))
      return { info[i + 1] - events - double, events, tonumber(known[3] or -1), double, most, last or '' }
    end
  end
end
return { 0, events, -1, 0, 0, '' }
`;

/** Cursor and event's id (`''`: not `ours`) of each entry of `range`. */
const idsOf = (range: string, ours: string): string => `
local found = {}
for _, entry in ipairs(redis.call(${range}, 'COUNT', ARGV[2])) do
  local fields = entry[2]
  found[#found + 1] = entry[1]
  found[#found + 1] = ${ours} and fields[2] or ''
end
return found
`;

/** KEYS: entries. ARGV: the last entry, how many. The newest first. */
const IDS = idsOf("'XREVRANGE', KEYS[1], ARGV[1], '-'", "fields[1] == 'id'");
/** KEYS: entries. ARGV: the entry before, how many, whose they are. The oldest first. */
const BEHIND = idsOf(
  "'XRANGE', KEYS[1], '(' .. ARGV[1], '+'",
  "fields[1] == 'id' and fields[5] == 'source' and fields[6] == ARGV[3]",
);

/**
 * KEYS: entries, hash. ARGV: `session` or `epoch`, what it has to be, how many were known to be double, how many more are, `looked`
 * ('': no more), what `end` has to be ('': anything), cursors. Does nothing for who was followed by another, or whom another one
 * looking was faster than. A group that was given one of them has the other too, and would keep this one for ever.
 */
const REMOVE = `
local A, key, hash = ARGV, KEYS[1], KEYS[2]
if redis.call('HGET', hash, A[1]) ~= A[2] or tonumber(redis.call('HGET', hash, 'double') or 0) ~= tonumber(A[3]) then return 0 end
if A[6] ~= '' and redis.call('HGET', hash, 'end') ~= A[6] then return 0 end
local groups = {}
for _, info in ipairs(redis.call('XINFO', 'GROUPS', key)) do
  for i = 1, #info, 2 do if info[i] == 'name' then groups[#groups + 1] = info[i + 1] end end
end
for i = 7, #A do
  for _, group in ipairs(groups) do redis.call('XACK', key, group, A[i]) end
  redis.call('XDEL', key, A[i])
end
redis.call('HSET', hash, 'double', string.format('%.0f', tonumber(A[3]) + tonumber(A[4])))
if A[5] == '' then redis.call('HDEL', hash, 'looked') else redis.call('HSETNX', hash, 'looked', A[5]) end
return 1
`;

/** Entries that are looked at in one call, at the most: Redis does nothing else meanwhile. */
const PAGE = 100;
/** The two are close together: more entries than a few batches do not lie between them. */
const NEAR = 50_000;

type Keys = readonly [entries: string, hash: string];
type Ruled = readonly ['session' | 'epoch', string];

interface Beyond {
  readonly beyond: number;
  readonly events: number;
  readonly looked: number;
  readonly known: number;
  readonly page: number;
  readonly last: string;
}

async function beyondOf(redis: Redis, keys: Keys): Promise<Beyond> {
  const [beyond, events, looked, known, most, last] = (await redis.eval(BEYOND, 2, ...keys)) as [
    ...[beyond: number, events: number, looked: number, known: number, most: number, last: string],
  ];
  return { beyond, events, looked, known, page: Math.max(1, Math.min(PAGE, most)), last };
}

/**
 * Removes what Redis has added and nobody has counted. A server that was killed while it wrote a transaction to its AOF keeps its
 * beginning there, and carries it out with the next one when it reads the file again; the writer has sent it again meanwhile, or
 * is about to.
 *
 * @param ruled what the hash has to say for this to be done: the session that has just opened the log, or the epoch of many writers
 * @returns how many were removed
 */
export async function removeDoubles(redis: Redis, keys: Keys, ruled: Ruled): Promise<number> {
  const found = await beyondOf(redis, keys);
  if (found.beyond <= 0) return 0;
  const rest = await removeRest(redis, keys, ruled, found);
  return rest + (await removePairs(redis, keys, ruled, rest === 0 ? found : await beyondOf(redis, keys)));
}

/** What stands behind the last one that was counted is still to be sent again. */
async function removeRest(redis: Redis, keys: Keys, ruled: Ruled, found: Beyond): Promise<number> {
  const { beyond, events, looked, known, page, last } = found;
  const rest: string[] = [];
  for (let after = last; after !== '';) {
    const some = (await redis.eval(BEHIND, 1, keys[0], after, page, sourceOf(keys[0]))) as string[];
    for (let i = 0; i + 1 < some.length; i += 2) if (some[i + 1] !== '') rest.push(some[i]!);
    // More than there can be: they were counted after all.
    if (rest.length > beyond) return 0;
    after = some.at(-2) ?? '';
  }
  if (rest.length === 0) return 0;
  const mark = looked < 0 ? '' : looked;
  const end = `${events} ${last}`;
  const done = await redis.eval(REMOVE, 2, ...keys, ...ruled, known, rest.length, mark, end, ...rest);
  return done === 1 ? rest.length : 0;
}

/** Both are in the stream, with the same events; the writer knows of the second alone. */
async function removePairs(redis: Redis, keys: Keys, ruled: Ruled, found: Beyond): Promise<number> {
  const { beyond, events, looked, known, page } = found;
  if (beyond <= 0) return 0;
  const doubles = await pairs(redis, keys[0], beyond, page);
  // The second of a pair may be still to come: its server was killed once more before it was sent again. But what has none
  // after so many others is somebody else's.
  const isOver = doubles.length === beyond || (looked >= 0 && events - looked >= NEAR);
  const counted = isOver ? beyond : doubles.length;
  const done = await redis.eval(REMOVE, 2, ...keys, ...ruled, known, counted, isOver ? '' : events, '', ...doubles);
  return done === 1 ? doubles.length : 0;
}

/**
 * The first of all that are equal stays: what comes first is in order, whereas behind a second run that ended early, for it was
 * killed as well, the end of the first one would stand before its beginning.
 *
 * @returns cursors of the later ones of pairs near each other, of the newest `most`
 */
async function pairs(redis: Redis, key: string, most: number, size: number): Promise<readonly string[]> {
  const found: string[] = [];
  let [near, far] = [new Map<string, string>(), new Map<string, string>()];
  for (let last = '+'; found.length < most;) {
    const page = (await redis.eval(IDS, 1, key, last, size)) as string[];
    if (page.length === 0) break;
    for (let i = 0; i + 1 < page.length && found.length < most; i += 2) {
      const [cursor, id] = [page[i]!, page[i + 1]!];
      if (id === '') continue;
      const later = near.get(id) ?? far.get(id);
      if (later !== undefined) found.push(later);
      near.set(id, cursor);
    }
    if (near.size >= NEAR) [near, far] = [new Map<string, string>(), near];
    last = `(${page.at(-2)!}`;
  }
  return found;
}
