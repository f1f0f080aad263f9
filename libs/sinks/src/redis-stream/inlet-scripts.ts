import { FORGET, MAKE_ROOM } from './scripts.js';

/** First number of a reply. */
export const TAKEN = { ok: 0, fenced: 1, lost: 2 } as const;
/** What became of one delivery; `other` is added where its events have the other id. */
export const BECAME = { written: 0, repeated: 1, full: 2, other: 4 } as const;

/**
 * Many writers at once: the epoch has to be the log's own. A lower one in the log is an older state of it, or another
 * log; none at all is a log that is gone, or was purged.
 */
const CHECK_EPOCH = `
local function check_epoch(found, epoch)
  if not found then return ${TAKEN.lost} end
  if tonumber(found) > tonumber(epoch) then return ${TAKEN.fenced} end
  if tonumber(found) < tonumber(epoch) then return ${TAKEN.lost} end
end
`;

/**
 * KEYS: entries, hash, then two for each delivery: what a repeat has in common with it, what its id has. ARGV: epoch,
 * max, mode, source, then for each delivery: window (ms), id, other id, type, subject, time, time (ms), expanded ('1'),
 * in order ('1'), n, and n × (partitionkey, data). Events, what makes a repeat known and totals are one entry of the AOF (traps 28, 29).
 * Its beginning may be carried out without its end (README), so what says that something is there comes behind it.
 * @returns [answer, what became of each …]
 */
export const TAKE = `${MAKE_ROOM}${CHECK_EPOCH}
local A, key, hash, call = ARGV, KEYS[1], KEYS[2], redis.call
local state = call('HMGET', hash, 'epoch', 'events', 'bytes', 'last')
local refused = check_epoch(state[1], A[1])
if refused then return { refused } end
local events, bytes, last = tonumber(state[2] or 0), tonumber(state[3] or 0), tonumber(state[4] or 0)
local max, mode, source, out, none_for, lost = tonumber(A[2]), A[3], A[4], { ${TAKEN.ok} }, math.huge, 0
local room = max - call('XLEN', key)
local i, k = 5, 3
while i <= #A do
  local n, same, of_id = tonumber(A[i + 9]), KEYS[k], KEYS[k + 1]
  local seen = call('GET', same)
  if seen then
    out[#out + 1] = ${BECAME.repeated} + (seen == '1' and ${BECAME.other} or 0)
  else
    local other = same ~= of_id and call('EXISTS', of_id) == 1
    -- Where one has found no room there is none for as many, and for whoever keeps the order none at all.
    local enough = n < none_for and not (A[i + 8] == '1' and none_for < math.huge)
    if enough and n > room then
      local dropped
      enough, dropped = make_room(key, n, max, mode)
      lost, room = lost + dropped, max - call('XLEN', key)
    end
    if not enough then
      none_for = math.min(none_for, n)
      out[#out + 1] = ${BECAME.full}
    else
      local id = other and A[i + 2] or A[i + 1]
      for j = 0, n - 1 do
        local data = A[i + 11 + j * 2]
        call('XADD', key, '*', 'id', A[i + 7] == '1' and id .. '/' .. j or id, 'type', A[i + 3], 'source', source, 'subject', A[i + 4],
          'time', A[i + 5], 'partitionkey', A[i + 10 + j * 2], 'data', data)
        bytes = bytes + #data
      end
      call('SET', same, other and '1' or '0', 'PX', A[i])
      if same ~= of_id and not other then call('SET', of_id, '', 'PX', A[i]) end
      room = room - n
      events, last = events + n, math.max(last, tonumber(A[i + 6]))
      out[#out + 1] = ${BECAME.written} + (other and ${BECAME.other} or 0)
    end
  end
  i, k = i + 10 + n * 2, k + 2
end
call('HSET', hash, 'events', string.format('%.0f', events), 'bytes', string.format('%.0f', bytes), 'last', string.format('%.0f', last))
if lost > 0 then call('HINCRBY', hash, 'trimmed', lost) end
return out
`;

/**
 * KEYS: entries, hash. ARGV: epoch, a new mark, the mark that has to be there ('': any). Raises the epoch.
 * @returns the mark, or a number of \`TAKEN\`
 */
export const OPEN_INLET = `${FORGET}
local hash = KEYS[2]
if tonumber(redis.call('HGET', hash, 'epoch') or 0) > tonumber(ARGV[1]) then return ${TAKEN.fenced} end
local mark = redis.call('HGET', hash, 'mark')
if ARGV[3] ~= '' and mark ~= ARGV[3] then return ${TAKEN.lost} end
if not mark then
  forget(hash)
  mark = ARGV[2]
end
redis.call('HSET', hash, 'epoch', ARGV[1])
redis.call('HSET', hash, 'mark', mark) -- as FENCE: never a single write
redis.call('HDEL', hash, 'writer')
redis.call('PERSIST', hash)
redis.call('PERSIST', KEYS[1])
return mark
`;

/**
 * KEYS: hash, counts, the last report of this writer, answers, failures. ARGV: epoch, number of this report, writer, oldest
 * pending (ms or ''), now (ms), pending counts for (ms), kept of answers and of failures each, counts kept for (s), the same of answers
 * where the epoch does not rule, count of answers, of failures, answers …, failures …, then pairs of counter and gain. The answers were
 * given whichever epoch rules, and before there is any; the rest is for the one that does.
 * @returns the counts, flat, after events, bytes, last and trimmed of the log; or a number of \`TAKEN\`
 */
export const REPORT_INLET = `${CHECK_EPOCH}
local A, call = ARGV, redis.call
local log = call('HMGET', KEYS[1], 'epoch', 'events', 'bytes', 'last', 'trimmed')
local refused = check_epoch(log[1], A[1])
local fresh = tonumber(call('GET', KEYS[3]) or 0) < tonumber(A[2])
local gains = 12
local function counted() call('SET', KEYS[3], A[2], 'EX', 3600) end
local function keep(key, n)
  if fresh and n > 0 then
    for i = gains, gains + n - 1 do call('RPUSH', key, A[i]) end
    call('LTRIM', key, -tonumber(A[7]), -1)
    call('EXPIRE', key, refused and A[9] or A[8])
  end
  gains = gains + n
end
keep(KEYS[4], tonumber(A[10]))
keep(KEYS[5], tonumber(A[11]))
if refused then
  if fresh then counted() end
  return refused
end
local counts, now = KEYS[2], tonumber(A[5])
if call('HGET', counts, 'epoch') ~= A[1] then
  for _, name in ipairs(call('HKEYS', counts)) do
    if string.sub(name, 1, 2) == 'c:' then call('HDEL', counts, name) end
  end
  call('HSET', counts, 'epoch', A[1], 'trimmed', log[5] or '0')
end
if fresh then
  for i = gains, #A, 2 do call('HINCRBY', counts, 'c:' .. A[i], A[i + 1]) end
  counted()
end
if A[4] == '' then call('HDEL', counts, 'p:' .. A[3]) else call('HSET', counts, 'p:' .. A[3], A[5] .. ' ' .. A[4]) end
-- A Redis that has lost its number, or fell back to an older one, goes on behind what was told: never below its own time, ms.
local time = call('TIME')
local least = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local sequence = math.max(tonumber(call('HGET', counts, 'sequence') or 0) + 1, least)
call('HSET', counts, 'sequence', string.format('%.0f', sequence))
local all, oldest = call('HGETALL', counts), ''
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'p:' then
    local at, pending = string.match(all[i + 1], '^(%S+) (%S+)$')
    if now - tonumber(at) > tonumber(A[6]) then call('HDEL', counts, all[i])
    elseif oldest == '' or tonumber(pending) < tonumber(oldest) then oldest = pending end
  end
end
call('EXPIRE', counts, A[8])
return { log[2] or '0', log[3] or '0', log[4] or '', log[5] or '0', oldest, unpack(all) }
`;
