/**
 * The Lua scripts of the log. Each is one atomic step in Redis, or a part of one (TRANSACT), and one entry (MULTI … EXEC) in its AOF: after a
 * crash a batch is there as a whole, with its position, or not at all.
 *
 * Hash `plnx:log:{id}`: `epoch` (the fence), `session` (of whoever opened it last), `writer` (`<session>:<sequence>`: how
 * often he appended), `writer:<index>` (the same of those who write beside him),
 * `pos:<partition>`, `ord:<partition>`, `events`, `bytes`, `begun` (of the last
 * transaction: its writer, the entries before it or `full`, what was dropped for it),
 * `reset` (the decision that positions were forgotten for), `double`, `looked`, `end` (`<events> <cursor of the last one>`; `doubles.ts`).
 */

/**
 * make_room(key, n, max, mode) → enough, dropped. Removes what may go so that n entries fit: what every consumer group
 * has acknowledged; in mode `trim`, without a group, the oldest. `dropped` counts what nobody had read. Rows that enter
 * together and are more than the whole log fit when the log is empty. It works in steps of at most 20,000 entries: a long
 * trim would hold up every other stream of this Redis.
 */
export const MAKE_ROOM = `
local function parts(id) local a, b = string.match(id, '^(%d+)-(%d+)$') return tonumber(a), tonumber(b) end
local function field(info, name) for i = 1, #info, 2 do if info[i] == name then return info[i + 1] end end end
local function unread(key, groups)
  local least, least_ms, least_seq
  for _, info in ipairs(groups) do
    local id
    if field(info, 'pending') > 0 then
      id = redis.call('XPENDING', key, field(info, 'name'))[2]
    else
      local ms, seq = parts(field(info, 'last-delivered-id'))
      id = string.format('%.0f-%.0f', ms, seq + 1)
    end
    local ms, seq = parts(id)
    if not least or ms < least_ms or (ms == least_ms and seq < least_seq) then least, least_ms, least_seq = id, ms, seq end
  end
  return least
end
local function make_room(key, n, max, mode)
  local length = redis.call('XLEN', key)
  local over = length + n - max
  if over <= 0 or length == 0 then return true, 0 end
  local step = math.min(over + math.min(math.floor(max / 20), 10000), 20000)
  local groups = redis.call('XINFO', 'GROUPS', key)
  local removed, dropped = 0, 0
  if #groups > 0 then
    local keep = unread(key, groups)
    removed = redis.call('XTRIM', key, 'MINID', '~', keep, 'LIMIT', math.max(step, 1000) + 100)
    if removed < math.min(over, 1000) then removed = removed + redis.call('XTRIM', key, 'MINID', '=', keep) end
  elseif mode == 'trim' then
    removed = redis.call('XTRIM', key, 'MAXLEN', '=', math.max(length - step, 0))
    dropped = removed
  end
  return removed >= over or removed == length, dropped
end
`;

/** Answers of APPEND, TRANSACT and ROOM; the first number of the reply. */
export const ANSWER = { ok: 0, full: 1, fenced: 2, lost: 3, outOfTurn: 4, failed: 5 } as const;

/**
 * check_writer(hash, epoch, writer): nil when the writer is the one that appended last. `outOfTurn` is our own session
 * with another sequence: a batch before this one was not written, so this one must not be either.
 */
const CHECK_WRITER = `
local function check_writer(state, epoch, writer)
  if not state[1] then return ${ANSWER.lost} end
  if tonumber(state[1]) > tonumber(epoch) then return ${ANSWER.fenced} end
  if state[2] == writer then return nil end
  local session = string.match(writer, '^[^:]*')
  if state[2] and string.match(state[2], '^[^:]*') == session then return ${ANSWER.outOfTurn} end
  return ${ANSWER.fenced}
end
`;

/** record(hash, ARGV, events, bytes, last): the new totals, writer, position and order; `last`: cursor of the last event, nil of none. */
const RECORD = `
local function record(hash, A, events, bytes, last)
  local set = { A[13], A[3], 'events', string.format('%.0f', events), 'bytes', string.format('%.0f', bytes) }
  if A[8] ~= '' then set[#set + 1] = A[8]; set[#set + 1] = A[9] end
  if A[10] ~= '' then set[#set + 1] = A[10]; set[#set + 1] = A[11] end
  if last then set[#set + 1] = 'end'; set[#set + 1] = string.format('%.0f ', events) .. last end
  redis.call('HSET', hash, unpack(set))
end
`;

/**
 * A batch of few events, in one call. KEYS: entries, hash. ARGV: epoch, last writer, new writer, n, bytes, max, mode, position field,
 * position, order field, order, source, writer field; then for each run of events with equal type, subject and time: n, type,
 * subject, time and n × (id, partitionkey, data). Field names of `''` are left out.
 * @returns [answer, total events, total bytes, dropped]
 */
export const APPEND = `${MAKE_ROOM}${CHECK_WRITER}${RECORD}
local A, key, hash, call = ARGV, KEYS[1], KEYS[2], redis.call
local state = call('HMGET', hash, 'epoch', A[13], 'events', 'bytes')
local refused = check_writer(state, A[1], A[2])
local events, bytes = tonumber(state[3] or 0), tonumber(state[4] or 0)
if refused then return { refused, events, bytes, 0 } end
local n, dropped = tonumber(A[4]), 0
if n > 0 then
  local enough
  enough, dropped = make_room(key, n, tonumber(A[6]), A[7])
  if not enough then return { ${ANSWER.full}, events, bytes, dropped } end
end
local source, i, size, last = A[12], 14, #A, nil
while i <= size do
  local stop, kind, subject, time = i + 3 + tonumber(A[i]) * 3, A[i + 1], A[i + 2], A[i + 3]
  for j = i + 4, stop, 3 do
    last = call('XADD', key, '*', 'id', A[j], 'type', kind, 'source', source, 'subject', subject, 'time', time, 'partitionkey', A[j + 1], 'data', A[j + 2])
  end
  i = stop + 1
end
record(hash, A, events + n, bytes + tonumber(A[5]), last)
if n == 0 then call('HSET', hash, A[13], A[3]) end -- as FENCE: never a single write
return { ${ANSWER.ok}, events + n, bytes + tonumber(A[5]), dropped }
`;

/**
 * take_back(key, hash, borrowed): removes what is left under the borrowed name. Should the stream itself be there (a server that
 * carries the commands of a transaction out one by one, and lost us amid it; the rest of one in an AOF) it gets its name back, also
 * from what somebody else has made of that name meanwhile, such as a consumer with MKSTREAM: only the stream has ever had as many
 * entries as were counted. (Redis says so from 7.0 on. Before, whatever has the name is the stream.)
 */
const TAKE_BACK_FUNCTION = `
local function added(key)
  local info = redis.call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do if info[i] == 'entries-added' then return info[i + 1] end end
end
local function take_back(key, hash, borrowed)
  if redis.call('EXISTS', borrowed) == 0 then return end
  local events = tonumber(redis.call('HGET', hash, 'events') or 0)
  local ours = events > 0 and redis.call('EXISTS', key) == 0
  if events > 0 and not ours then
    local lent = added(borrowed)
    ours = lent ~= nil and lent >= events and added(key) < events
  end
  if ours then redis.call('RENAME', borrowed, key) else redis.call('UNLINK', borrowed) end
end
`;

/**
 * KEYS: entries, hash, the borrowed key. At each opening. The two renames are for the AOF: a transaction that a killed server
 * has left begun in it is carried out when it is read again, at the next EXEC. Then the stream has the borrowed name, the first rename
 * does nothing, also where somebody made another stream of its name, and the second one gives it back, before anything is appended: else
 * that would begin another stream.
 */
export const TAKE_BACK = `${TAKE_BACK_FUNCTION}
take_back(KEYS[1], KEYS[2], KEYS[3])
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAMENX', KEYS[1], KEYS[3])
  redis.call('RENAME', KEYS[3], KEYS[1])
end
return 1
`;

/** About what Redis spends on the words of an event that waits in a transaction, beside its data. */
const QUEUED_EVENT_BYTES = 1_500;

/**
 * A batch of many events is a transaction: `MULTI`, this script to begin, an XADD for each event, this script to end, `EXEC`. Lua
 * takes a third of Redis' time for events that are handed to it. KEYS: entries, hash, the borrowed key; ARGV: as of
 * APPEND, without events, then `begin`, `end` or `why`.
 *
 * `begin` gives who may write the stream under the borrowed name, for which the XADDs are meant; `end` takes it back. Where
 * `begin` refuses, or fails in whatever way, the events go to a stream of their own that `end` removes. It is one script so
 * that Redis knows both or none; where it knows none, what is left goes at the next opening (TAKE_BACK). Nobody sees the
 * stream away: a transaction is one step. Of one that Redis gave up (an event that it refused to queue) `why` says the
 * reason, as far as it can still be seen; it is asked after each, and its answer heeded where there is no other.
 * @returns at `end` what APPEND returns, at `why` an error or 0
 */
export const TRANSACT = `${MAKE_ROOM}${CHECK_WRITER}${RECORD}${TAKE_BACK_FUNCTION}
local A, key, hash, borrowed, call = ARGV, KEYS[1], KEYS[2], KEYS[3], redis.call
local state = call('HMGET', hash, 'epoch', A[13], 'events', 'bytes', 'begun')
local n, events, bytes = tonumber(A[4]), tonumber(state[3] or 0), tonumber(state[4] or 0)

local function begin()
  if call('EXISTS', borrowed) == 1 or check_writer(state, A[1], A[2]) then return end
  local enough, dropped = make_room(key, n, tonumber(A[6]), A[7])
  local length = call('XLEN', key)
  call('HSET', hash, 'begun', A[3] .. ' ' .. (enough and length or 'full') .. ' ' .. dropped)
  if enough and call('EXISTS', key) == 1 then call('RENAME', key, borrowed) end
end

local function finish()
  local writer, length, dropped = string.match(state[5] or '', '^(%S+) (%S+) (%d+)$')
  local refused = check_writer(state, A[1], A[2])
  local gone = call('EXISTS', key) == 0
  if not refused and (writer ~= A[3] or (length ~= 'full' and not gone)) then refused = ${ANSWER.failed} end
  if refused then
    dropped = 0
  elseif length == 'full' then
    refused = ${ANSWER.full}
  end
  if refused then
    if refused == ${ANSWER.failed} then take_back(key, hash, borrowed) else call('UNLINK', borrowed) end
    return { refused, events, bytes, tonumber(dropped) }
  end
  call('RENAME', borrowed, key)
  if call('XLEN', key) ~= tonumber(length) + n then return { ${ANSWER.failed}, events, bytes, tonumber(dropped) } end
  record(hash, A, events + n, bytes + tonumber(A[5]), call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1][1])
  return { ${ANSWER.ok}, events + n, bytes + tonumber(A[5]), tonumber(dropped) }
end

local function why()
  if state[2] == A[3] then return 0 end
  call('HDEL', hash, '') -- removes nothing: fails where Redis takes no writes
  local memory = redis.pcall('INFO', 'memory')
  if type(memory) ~= 'string' then return 0 end
  local used, most = string.match(memory, '\\nused_memory:(%d+)'), string.match(memory, '\\nmaxmemory:(%d+)')
  if not used or not most or most == '0' then return 0 end
  if tonumber(used) + 2 * tonumber(A[5]) + ${QUEUED_EVENT_BYTES} * n > tonumber(most) then
    return redis.error_reply('OOM what is kept of a transaction until its end does not fit')
  end
  return 0
end

if A[14] == 'begin' then return begin() end
if A[14] == 'end' then return finish() end
return why()
`;

/** KEYS: entries, hash. ARGV: epoch, last writer, n, max, mode, writer field. @returns [answer, dropped] */
export const ROOM = `${MAKE_ROOM}${CHECK_WRITER}
local refused = check_writer(redis.call('HMGET', KEYS[2], 'epoch', ARGV[6]), ARGV[1], ARGV[2])
if refused then return { refused, 0 } end
local enough, dropped = make_room(KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5])
return { enough and ${ANSWER.ok} or ${ANSWER.full}, dropped }
`;

/** forget(hash): removes positions and orders. What stands behind the last event that was counted need not come again then. */
export const FORGET = `
local function forget(hash)
  redis.call('HDEL', hash, 'end')
  for _, name in ipairs(redis.call('HKEYS', hash)) do
    local prefix = string.sub(name, 1, 4)
    if prefix == 'pos:' or prefix == 'ord:' then redis.call('HDEL', hash, name) end
  end
end
`;

/** bar_besides(hash): whoever writes beside the writer appends no more. */
const BAR_BESIDES = `
local function bar_besides(hash)
  for _, name in ipairs(redis.call('HKEYS', hash)) do
    if string.sub(name, 1, 7) == 'writer:' then redis.call('HDEL', hash, name) end
  end
end
`;

/**
 * KEYS: entries, hash. ARGV: epoch, session, reset ('': none). Raises the epoch, begins a session, and bars those who
 * wrote beside the last one. A reset that was made
 * already, with positions since, is not made again. A log that was to expire with its stream stays: the deletion came to
 * nothing.
 * @returns the hash, flat; or the higher epoch as a number
 */
export const OPEN = `${FORGET}${BAR_BESIDES}
local function placed(hash)
  for _, name in ipairs(redis.call('HKEYS', hash)) do
    if string.sub(name, 1, 4) == 'pos:' and string.sub(name, 5, 5) ~= '#' then return true end
  end
  return false
end
local hash = KEYS[2]
local epoch = tonumber(redis.call('HGET', hash, 'epoch') or 0)
if epoch > tonumber(ARGV[1]) then return epoch end
if ARGV[3] ~= '' and not (redis.call('HGET', hash, 'reset') == ARGV[3] and placed(hash)) then
  forget(hash)
  redis.call('HSET', hash, 'reset', ARGV[3])
end
bar_besides(hash)
redis.call('HSET', hash, 'epoch', ARGV[1], 'session', ARGV[2], 'writer', ARGV[2] .. ':0')
redis.call('PERSIST', hash)
redis.call('PERSIST', KEYS[1])
return redis.call('HGETALL', hash)
`;

/**
 * KEYS: entries, hash. ARGV: epoch, session of the opening, writer field, session of this one. Begins a session beside that opening.
 * @returns the hash, flat; or 0 where another one, or another epoch, rules
 */
export const JOIN = `
local hash = KEYS[2]
local state = redis.call('HMGET', hash, 'epoch', 'session')
if tonumber(state[1] or 0) ~= tonumber(ARGV[1]) or state[2] ~= ARGV[2] then return 0 end
redis.call('HSET', hash, ARGV[3], ARGV[4] .. ':0')
return redis.call('HGETALL', hash)
`;

/**
 * KEYS: hash. ARGV: epoch. Bars lower epochs; never lowers the epoch. Written twice: Redis has a single write in its AOF without
 * MULTI and EXEC, and one that stands behind a transaction that was cut off (README), with none behind it, goes with that at the next start.
 */
export const FENCE = `
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
  redis.call('HDEL', KEYS[1], 'writer', 'session')
end
return 1
`;

/**
 * KEYS: hash. ARGV: epoch, then field and position of each partition. Without a writer nobody appends until somebody
 * has opened anew and read the positions that are set here.
 * @returns 1, or 0 where a higher epoch rules
 */
export const PLACE = `${FORGET}${BAR_BESIDES}
local hash = KEYS[1]
if tonumber(redis.call('HGET', hash, 'epoch') or 0) > tonumber(ARGV[1]) then return 0 end
forget(hash)
bar_besides(hash)
redis.call('HDEL', hash, 'writer', 'session')
redis.call('HSET', hash, 'epoch', ARGV[1])
for i = 2, #ARGV, 2 do redis.call('HSET', hash, ARGV[i], ARGV[i + 1]) end
return 1
`;

/**
 * KEYS: entries, hash. ARGV: seconds, epoch. With 0 the entries go now; the epoch alone stays for a minute. It is there
 * also where there was no log: whoever was setting a position is fenced off and leaves nothing behind.
 */
export const EXPIRE = `
local seconds = tonumber(ARGV[1])
local epoch = math.max(tonumber(redis.call('HGET', KEYS[2], 'epoch') or 0), tonumber(ARGV[2]))
if seconds == 0 then redis.call('UNLINK', KEYS[1], KEYS[2]) end
redis.call('HSET', KEYS[2], 'epoch', string.format('%.0f', epoch))
redis.call('EXPIRE', KEYS[1], seconds)
redis.call('EXPIRE', KEYS[2], math.max(seconds, 60))
return 1
`;
