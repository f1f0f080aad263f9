import type { Redis } from 'ioredis';

/**
 * KEYS: entries, hash. @returns how many entries were ever added beyond those that were counted and those that are known to be
 * double; 0 where Redis does not say (before 7.0).
 */
const BEYOND = `
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then return 0 end
for i = 1, #info, 2 do
  if info[i] == 'entries-added' then
    local counted = redis.call('HMGET', KEYS[2], 'events', 'double')
    return info[i + 1] - tonumber(counted[1] or 0) - tonumber(counted[2] or 0)
  end
end
return 0
`;

/** KEYS: entries. ARGV: the last entry, how many. @returns its cursor and its event's id of each, the newest first */
const IDS = `
local found = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[2])) do
  found[#found + 1] = entry[1]
  found[#found + 1] = entry[2][2]
end
return found
`;

/** KEYS: entries, hash. ARGV: session, how many are beyond what was counted, cursors. Does nothing for who was followed by another. */
const REMOVE = `
if redis.call('HGET', KEYS[2], 'session') ~= ARGV[1] then return 0 end
for i = 3, #ARGV do redis.call('XDEL', KEYS[1], ARGV[i]) end
redis.call('HINCRBY', KEYS[2], 'double', ARGV[2])
return 1
`;

/** Entries that are looked at in one call: about a millisecond of Redis. */
const PAGE = 500;
/** The two are close together: more entries than a few batches do not lie between them. */
const NEAR = 50_000;

/**
 * Removes what Redis has added twice. A server that was killed while it wrote a transaction to its AOF keeps its beginning there,
 * and carries it out with the next one when it reads the file again. Both are in the stream then, with the same events; the
 * writer knows of the second alone, which is counted.
 *
 * @param keys entries and hash of a log that `session` has just opened
 * @returns how many were removed
 */
export async function removeDoubles(redis: Redis, keys: readonly [string, string], session: string): Promise<number> {
  const beyond = Number(await redis.eval(BEYOND, 2, ...keys));
  if (beyond <= 0) return 0;
  const doubles: string[] = [];
  let [near, far] = [new Set<string>(), new Set<string>()];
  for (let last = '+'; doubles.length < beyond;) {
    const page = (await redis.eval(IDS, 1, keys[0], last, PAGE)) as string[];
    if (page.length === 0) break;
    for (let i = 0; i + 1 < page.length && doubles.length < beyond; i += 2) {
      const [cursor, id] = [page[i]!, page[i + 1]!];
      if (near.has(id) || far.has(id)) doubles.push(cursor);
      else near.add(id);
    }
    if (near.size >= NEAR) [near, far] = [new Set(), near];
    last = `(${page.at(-2)!}`;
  }
  // Also where not all were found: they have left the log meanwhile, and nobody has to look for them again.
  await redis.eval(REMOVE, 2, ...keys, session, beyond, ...doubles);
  return doubles.length;
}
