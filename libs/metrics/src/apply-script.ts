import { BUCKETS, KEPT_SECONDS } from './keys.js';

/** A stream that is older than the longest window and of which nothing is known: its past is not made up. */
const LONGEST_SECONDS = 86_400;

/**
 * Takes one report in. What is not newer than the last one by (epoch, sequence) changes nothing (trap 37): so any
 * number of aggregators may get the same report, late, twice or out of order.
 *
 * What was gained since the last report is spread evenly over the time since then, by this server's clock: after an
 * outage of the aggregator the rates are those of the stream, not a spike. An epoch began no earlier than its sequence
 * tells (a report each second), so a stream that was down does not have its first events spread over that time.
 *
 * Events and bytes are totals over the stream's life, taken from the log: the difference spans epochs. Errors,
 * rejected, dropped and latency counts begin at zero with each epoch. A total that went back is a log that began anew.
 *
 * With no last report the base is zero, at the stream's creation, so that a new stream misses nothing. Only where
 * earlier epochs have counted too and the stream is older than every window is the report a base and no more.
 *
 * KEYS[1] gauges. ARGV: epoch, sequence, events, bytes, errors, rejected, dropped, oldest pending, lag proved, last
 * event, backlog, created (s or empty), now (s; empty: this server's), held, to loss, seconds to loss, budget, backlog in
 * records, then pairs of latency bucket and count.
 */
export const APPLY = `
local key = KEYS[1]
local last = redis.call('HMGET', key, 'epoch', 'sequence', 'events', 'bytes', 'errors', 'rejected', 'dropped', 'seen_at', 'last_event_at',
  'rejected_total', 'dropped_total')
local epoch, sequence = tonumber(ARGV[1]), tonumber(ARGV[2])
local had = tonumber(last[1] or -1)
if epoch < had or (epoch == had and sequence <= tonumber(last[2])) then return 0 end
local now = tonumber(ARGV[13])
if not now then local t = redis.call('TIME') now = tonumber(t[1]) + tonumber(t[2]) / 1000000 end
local same, first = epoch == had, had < 0
local function gained(total, before) local d = tonumber(total) - tonumber(before or 0) if d < 0 then return tonumber(total) end return d end
local function within(total, before) if same then return gained(total, before) end return tonumber(total) end
local function total(before, more) return string.format('%.0f', tonumber(before or 0) + more) end
local events, bytes = gained(ARGV[3], last[3]), gained(ARGV[4], last[4])
local errors, rejected, dropped = within(ARGV[5], last[5]), within(ARGV[6], last[6]), within(ARGV[7], last[7])
local since = math.min(now, tonumber(last[8] or ARGV[12]) or now)
local inEpoch = since
if not same then inEpoch = math.min(now, math.max(since, now - sequence)) end
local alive = inEpoch
if first and epoch > 1 then
  alive = since
  if now - since > ${LONGEST_SECONDS} then events, bytes = 0, 0 end
end
local kinds = {${BUCKETS.map(([seconds, keep]) => `{${seconds},${keep}}`).join(',')}}
local touched = {}
local function put(kind, i, field, amount)
  local bucket = key .. ':' .. kind[1] .. ':' .. string.format('%.0f', i)
  redis.call('HINCRBY', bucket, field, string.format('%.0f', amount))
  touched[bucket] = kind[2]
end
local function spread(field, amount, from)
  if amount <= 0 then return end
  for _, kind in ipairs(kinds) do
    local width, newest = kind[1], math.floor(now / kind[1])
    local function upto(time) if time >= now then return amount end return math.floor(amount * (time - from) / (now - from) + 0.5) end
    local i, before = math.floor(from / width), 0
    local oldest = math.floor((now - kind[2]) / width)
    if i < oldest then i = oldest before = upto(i * width) end
    while i <= newest do
      local reached = upto((i + 1) * width)
      if reached > before then put(kind, i, field, reached - before) end
      before = reached
      i = i + 1
    end
  end
end
spread('e', events, alive)
spread('b', bytes, alive)
spread('f', errors + rejected, inEpoch)
local latency = key .. ':latency'
if not same then redis.call('DEL', latency) end
for i = 19, #ARGV, 2 do
  local d = gained(ARGV[i + 1], redis.call('HGET', latency, ARGV[i]))
  if d > 0 then
    redis.call('HSET', latency, ARGV[i], ARGV[i + 1])
    for _, kind in ipairs(kinds) do put(kind, math.floor(now / kind[1]), 'l' .. ARGV[i], d) end
  end
end
-- One command: of a server that is killed here the report is known and added up, or neither.
redis.call('HSET', key, 'epoch', ARGV[1], 'sequence', ARGV[2], 'events', ARGV[3], 'bytes', ARGV[4], 'errors', ARGV[5], 'rejected', ARGV[6],
  'dropped', ARGV[7], 'oldest_pending_at', ARGV[8], 'lag_proved_at', ARGV[9], 'backlog_bytes', ARGV[11], 'backlog_records', ARGV[18],
  'held_bytes', ARGV[14], 'bytes_to_loss', ARGV[15], 'seconds_to_loss', ARGV[16], 'budget_bytes', ARGV[17], 'seen_at', string.format('%.6f', now),
  'rejected_total', total(last[10], rejected), 'dropped_total', total(last[11], dropped))
if (tonumber(ARGV[10]) or -1) > tonumber(last[9] or -1) then redis.call('HSET', key, 'last_event_at', ARGV[10]) end
for bucket, seconds in pairs(touched) do redis.call('EXPIRE', bucket, seconds) end
redis.call('EXPIRE', key, ${KEPT_SECONDS})
redis.call('EXPIRE', latency, ${KEPT_SECONDS})
return 1`;
