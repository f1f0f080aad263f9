import { BUCKETS } from './keys.js';

/**
 * Takes one report in. What is not newer than the last one by (epoch, sequence) changes nothing (trap 37): so any
 * number of aggregators may get the same report, late, twice or out of order. Differences to the last totals go into
 * the buckets of now, by this server's clock.
 *
 * Events and bytes are totals over the stream's life, taken from the log: the difference spans epochs. Errors,
 * rejected, dropped and latency counts begin at zero with each epoch. Without a last report the base is zero: the
 * log's totals lie in this same Redis, so both begin anew together.
 *
 * KEYS[1] gauges. ARGV: epoch, sequence, events, bytes, errors, rejected, dropped, oldest pending, lag proved, last
 * event, backlog, then pairs of latency bucket and count.
 */
export const APPLY = `
local last = redis.call('HMGET', KEYS[1], 'epoch', 'sequence', 'events', 'bytes', 'errors', 'rejected', 'dropped')
local epoch, sequence = tonumber(ARGV[1]), tonumber(ARGV[2])
local had = last[1] and tonumber(last[1]) or -1
if epoch < had or (epoch == had and sequence <= tonumber(last[2])) then return 0 end
local same = epoch == had
local function gained(now, before) local d = tonumber(now) - tonumber(before or 0) if d < 0 then return tonumber(now) end return d end
local function within(now, before) if same then return gained(now, before) end return tonumber(now) end
local events, bytes = gained(ARGV[3], last[3]), gained(ARGV[4], last[4])
local errors, rejected, dropped = within(ARGV[5], last[5]), within(ARGV[6], last[6]), within(ARGV[7], last[7])
local now = tonumber(redis.call('TIME')[1])
local counts = {}
local latency = KEYS[1] .. ':latency'
if not same then redis.call('DEL', latency) end
for i = 12, #ARGV, 2 do
  local d = gained(ARGV[i + 1], redis.call('HGET', latency, ARGV[i]))
  if d > 0 then counts[#counts + 1] = { 'l' .. ARGV[i], d } redis.call('HSET', latency, ARGV[i], ARGV[i + 1]) end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'sequence', ARGV[2], 'events', ARGV[3], 'bytes', ARGV[4], 'errors', ARGV[5], 'rejected', ARGV[6],
  'dropped', ARGV[7], 'oldest_pending_at', ARGV[8], 'lag_proved_at', ARGV[9], 'backlog_bytes', ARGV[11], 'seen_at', now)
if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], 'last_event_at', ARGV[10]) end
if rejected > 0 then redis.call('HINCRBY', KEYS[1], 'rejected_total', rejected) end
if dropped > 0 then redis.call('HINCRBY', KEYS[1], 'dropped_total', dropped) end
if events == 0 and errors == 0 and rejected == 0 and #counts == 0 then return 1 end
for _, kind in ipairs({${BUCKETS.map(([seconds, keep]) => `{${seconds},${keep}}`).join(',')}}) do
  local key = KEYS[1] .. ':' .. kind[1] .. ':' .. math.floor(now / kind[1])
  if events > 0 then redis.call('HINCRBY', key, 'e', events) redis.call('HINCRBY', key, 'b', bytes) end
  if errors + rejected > 0 then redis.call('HINCRBY', key, 'f', errors + rejected) end
  for _, count in ipairs(counts) do redis.call('HINCRBY', key, count[1], count[2]) end
  redis.call('EXPIRE', key, kind[2])
end
return 1`;
