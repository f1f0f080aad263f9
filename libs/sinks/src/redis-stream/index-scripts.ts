/**
 * The index of a log in Kafka: what its topic of deliveries has, up to an offset. It is made from that topic alone, so a
 * Redis that has lost the end of it, or all, is at an earlier place of the same and is brought on from there. How far it is and who
 * has entered are one write, behind what is known: of a script that was cut off in its AOF the beginning alone may be carried out.
 */

/** KEYS: index, known … ARGV: none. @returns [topic, next, entrant, what is known of each …] */
export const LOOK_INDEX = `
local out = redis.call('HMGET', KEYS[1], 'topic', 'next', 'entrant')
for i = 2, #KEYS do out[i + 2] = redis.call('GET', KEYS[i]) end
return out
`;

/**
 * KEYS: index, known … ARGV: topic, from, next, entrant ('': none), kept for (s), then for each key: value, for (ms).
 * Only where the index is at \`from\`: somebody else may have brought it on. @returns whether it was
 */
export const GROW_INDEX = `
local A, call, index = ARGV, redis.call, KEYS[1]
local at = call('HMGET', index, 'topic', 'next')
if at[1] ~= A[1] or at[2] ~= A[2] then return 0 end
for i = 2, #KEYS do call('SET', KEYS[i], A[2 * i + 2], 'PX', A[2 * i + 3]) end
if A[4] == '' then call('HSET', index, 'next', A[3]) else call('HSET', index, 'next', A[3], 'entrant', A[4]) end
call('EXPIRE', index, A[5])
return 1
`;

/**
 * KEYS: index. ARGV: topic and next that it was seen with ('' and 0: none), topic, next, kept for (s). From there on it has
 * to be brought on; nobody has entered. Only where it is as it was seen. @returns whether it was
 */
export const BEGIN_INDEX = `
local A, call, index = ARGV, redis.call, KEYS[1]
local at = call('HMGET', index, 'topic', 'next')
if (at[1] or '') ~= A[1] or (at[2] or '0') ~= A[2] then return 0 end
call('HSET', index, 'topic', A[3], 'next', A[4], 'entrant', '')
call('EXPIRE', index, A[5])
return 1
`;

/** KEYS: index. ARGV: epoch, events, bytes, last (ms), kept for (s). What is older than what is there is not taken. */
export const PUBLISH_TOTALS = `
local A, call, index = ARGV, redis.call, KEYS[1]
local at = call('HMGET', index, 'epoch', 'events', 'last')
local epoch, events = tonumber(at[1] or 0), tonumber(at[2] or 0)
if epoch > tonumber(A[1]) or (epoch == tonumber(A[1]) and events > tonumber(A[2])) then return end
call('HSET', index, 'epoch', A[1], 'events', A[2], 'bytes', A[3])
if tonumber(A[4]) > tonumber(at[3] or 0) then call('HSET', index, 'last', A[4]) end
call('EXPIRE', index, A[5])
`;

/**
 * KEYS: turn, queue, when each in it asked last. ARGV: who, for (ms), gone after (ms). First come, first served; it is a
 * courtesy, and whoever writes without it harms nothing.
 * @returns [whether it is his turn, how many wait]
 */
export const TAKE_TURN = `
local me, call, turn, queue, asked = ARGV[1], redis.call, KEYS[1], KEYS[2], KEYS[3]
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, gone in ipairs(call('ZRANGEBYSCORE', asked, '-inf', now - tonumber(ARGV[3]))) do
  call('ZREM', queue, gone)
  call('ZREM', asked, gone)
end
local owner = call('GET', turn)
local head = call('ZRANGE', queue, 0, 0)[1]
if owner == me or (not owner and (not head or head == me)) then
  call('SET', turn, me, 'PX', ARGV[2])
  call('ZREM', queue, me)
  call('ZREM', asked, me)
  return { 1, call('ZCARD', queue) }
end
call('ZADD', queue, 'NX', now, me)
call('ZADD', asked, now, me)
call('PEXPIRE', queue, 10000)
call('PEXPIRE', asked, 10000)
return { 0, 0 }
`;

/** KEYS: turn, queue, when each in it asked last. ARGV: who. */
export const PASS_TURN = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
`;
