-- One exchange with an account's budget: permits are settled, renewed and granted, and the limits learn from it.
-- Declared limits are open at once; others, or all after a 429, are found by slow start and AIMD.
-- KEYS: permits in flight (sorted set id → expiry ms), books (hash)
-- ARGV: now (ms, '' = the server's clock), lease (ms), grace of an abandoned permit (ms), time to live of the keys (ms),
--       number settled, then id, outcome, real tokens, Retry-After (ms) of each; number renewed, their ids;
--       then id and estimated tokens of each ask, in the order in which they are to be served
-- Returns {ms until an ask may be granted or -1 when that takes a settlement, permits in flight, granted id, …}.
local flying, books = KEYS[1], KEYS[2]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local lease, grace, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local NAMES = {'rpm', 'tpm', 'max', 'requests', 'tokens', 'filled', 'pause', 'window', 'rate', 'cut', 'cuts', 'level',
  'oks', 'base_window', 'base_rate', 'admitted', 'seen', 'took', 'probed', 'worked', 'full', 'opened', 'short', 'brim'}
local b = {}
for i, value in ipairs(redis.call('HMGET', books, unpack(NAMES))) do b[NAMES[i]] = tonumber(value) end
now = math.max(now, b.filled or 0)  -- a failover may set the clock back

-- What is allowed. A permit that was slow on its way must not push calls past the server's own burst: requests keep to
-- half a second's worth, just below the rate, for two clocks never agree. `window` and `rate` (per s) are learned, nil before they are needed.
-- KNOWN: what a first-tier account stands; past it a guess costs 429s, so it is made with more care. Where nothing is
-- declared the rate opens the same way: START a second, and a tenth more each second that uses it (`opened`).
local START, KNOWN, PACE, ROUND_S = 8, 29, 0.995, 1
if b.max or b.rpm then b.opened = nil end  -- declared by now: what was felt for without limits is no limit
if b.max and not b.cut then b.window = nil end
if not b.max and not b.window then b.window = START end
local cap = math.floor(math.min(b.max or math.huge, b.window or math.huge))
local per_s = b.rpm and b.rpm / 60 * PACE or math.huge
if not b.rate and not b.max and not b.rpm then b.opened = b.opened or START end
if b.rate then per_s = math.min(per_s, b.rate)
elseif b.opened then per_s = b.opened
elseif not b.rpm then per_s = math.min(per_s, b.took and math.max(START, 2 * cap) / (b.took / 1000) or math.huge) end
local guess = b.rate or b.opened
local burst = math.max(guess and per_s > 2 and 2 or 1, per_s * (guess and 0.1 or 0.5))
local tokens_per_s = b.tpm and b.tpm / 60 or math.huge
local tokens_burst = tokens_per_s * 10

-- The buckets fill. An account that was never used starts full.
local passed_s = (now - (b.filled or now)) / 1000
local requests = math.min(burst, (b.requests or burst) + (per_s < math.huge and passed_s * per_s or 0))
local tokens = math.min(tokens_burst, (b.tokens or tokens_burst) + (b.tpm and passed_s * tokens_per_s or 0))
if requests >= burst then b.brim = now end
if per_s == math.huge then requests = math.huge end
if not b.tpm then tokens = math.huge end
b.admitted = (b.admitted or 0) * math.exp(-(now - (b.seen or now)) / 1000 / ROUND_S)

-- Leases that ran out: their holders are dead.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', flying, '-inf', now)) do
  redis.call('ZREM', flying, id)
  redis.call('HDEL', books, 'p:' .. id)
end

local refused_at  -- the lowest place in flight that a server refused, of permits granted since the last cut
local at = 6
for _ = 1, tonumber(ARGV[5]) do
  local id, outcome, used, retry_after = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  at = at + 4
  local kept = redis.call('HGET', books, 'p:' .. id)
  if kept then  -- else it is settled already, or was never granted
    local estimate, granted, place = string.match(kept, '^(.-):(.-):(.-)$')
    estimate, granted, place = tonumber(estimate), tonumber(granted), tonumber(place)
    redis.call('HDEL', books, 'p:' .. id)
    if outcome == 'abandoned' then redis.call('ZADD', flying, now + grace, id) else redis.call('ZREM', flying, id) end
    if outcome == 'unused' then
      -- Where the bucket has been full since, it would be no fuller now without this permit.
      if granted >= (b.brim or 0) then requests = math.min(burst, requests + 1) end
      if requests >= burst then b.brim = now end
      tokens = math.min(tokens_burst, tokens + math.max(0, estimate))
      b.admitted = math.max(0, b.admitted - 1)
    elseif outcome == 'refused' then
      tokens = math.min(tokens_burst, tokens + math.max(0, estimate))
      b.admitted = math.max(0, b.admitted - math.exp(-(now - granted) / 1000 / ROUND_S))
      b.pause = math.max(b.pause or 0, now + retry_after)
      if granted > (b.cut or -1) then refused_at = math.min(refused_at or math.huge, place) end
    elseif outcome == 'ok' then
      if estimate >= 0 then tokens = math.min(tokens_burst, tokens + estimate - used) end
      b.oks = (b.oks or 0) + 1
      b.took = b.took and b.took + (now - granted - b.took) * 0.1 or now - granted
      b.took = math.max(1, b.took)
      if granted > (b.cut or -1) then b.worked = math.max(b.worked or 0, place) end
      if b.window and not b.cut and place >= 0.8 * b.window then
        b.window = b.window + (b.window < KNOWN and 1 or 4 / b.window)  -- doubles per round, then four more per round
      end
    end
  end
end
local renewals = tonumber(ARGV[at])
for i = at + 1, at + renewals do
  -- A call whose lease ran out is in flight in truth: its permit is taken again, whatever the limits say.
  redis.call('ZADD', flying, now + lease, ARGV[i])
  redis.call('HSETNX', books, 'p:' .. ARGV[i], '-1:' .. now .. ':0')
end
at = at + renewals + 1

local in_flight = redis.call('ZCARD', flying)
local round_ms = math.max(1000, b.took or 1000)
if refused_at then
  -- One cut per burst, to what was seen to work. A second one soon after means that less works than was thought.
  b.cuts = (b.cut and now - b.cut < 3 * round_ms) and (b.cuts or 0) + 1 or 0
  local harder = ({1, 0.97, 0.85})[b.cuts + 1] or 0.7
  local window, rate = b.window or b.max, b.admitted * 0.97 * harder
  if b.opened then rate = 0.7 * b.opened end  -- by now it has outrun the server long enough to empty a second's bucket
  if b.cuts >= 4 or refused_at >= 0.9 * window and not (b.cuts == 0 and (b.worked or 0) > refused_at) then
    -- The window was full, so it may be what was hit, and the starts of the last second say little about the rate.
    local floor = b.cuts == 0 and b.probed and b.base_window or 1
    window = math.max(floor, math.min(window, refused_at - 1) * harder)
    rate = math.max(rate, 1.1 * window / (b.took or 1000) * 1000)
  end
  if b.cuts == 0 and b.probed and b.rate < 1.35 * b.base_rate then
    -- It was our probe, no higher than a server's burst can carry it: back to where it began, or near.
    rate = math.max(b.base_rate, math.min(rate, b.base_rate + (b.rate - b.base_rate) / 4))
  end
  b.window = math.max(1, window)
  b.rate = math.max(0.2, math.min(b.rate or math.huge, rate))
  b.level = b.cuts == 0 and math.min(3, (b.level or 0) + 1) or 0
  b.cut, b.oks, b.probed, b.worked, b.opened = now, 0, nil, nil, nil
elseif b.opened then
  local step_s = math.min(1, (now - (b.seen or now)) / 1000)
  if b.admitted >= 0.8 * b.opened then b.opened = b.opened * (1 + 0.1 * step_s) end
elseif b.cut and b.rate then
  -- Probe upwards: the first time soon, later only where a 429 would be one in hundreds.
  local calm_ms = now - (b.probed or b.cut)
  local rested = b.oks >= 150 * b.level and calm_ms >= math.max(2 * round_ms, 5000 * b.level, 5000)
  if b.probed or rested or calm_ms >= 60000 and b.oks >= 100 then
    if not b.probed then b.base_window, b.base_rate, b.probed = b.window, b.rate, now end
    local step_s = math.min(1, (now - b.seen) / 1000)
    local climb = math.min(0.2, calm_ms / 300000)
    if now - (b.full or 0) < round_ms then b.window = b.window + math.max(1000 / round_ms, b.window * climb) * step_s end
    if b.admitted >= 0.8 * b.rate then b.rate = b.rate * (1 + math.max(0.02, climb) * step_s) end
  end
end
if b.max and b.window then b.window = math.min(b.window, b.max) end
if b.rpm and b.rate then b.rate = math.min(b.rate, b.rpm / 60 * PACE) end
cap = math.floor(math.min(b.max or math.huge, b.window or math.huge))

local answer = {0, 0}
local wait
for i = at, #ARGV, 2 do
  local id, estimate = ARGV[i], tonumber(ARGV[i + 1])
  if redis.call('HEXISTS', books, 'p:' .. id) == 1 then  -- the reply that granted it was lost
    redis.call('ZADD', flying, now + lease, id)
    answer[#answer + 1] = id
  elseif not wait then
    local need = math.min(estimate, tokens_burst)
    if (b.pause or 0) > now then wait = b.pause - now
    elseif in_flight >= cap then
      local first = redis.call('ZRANGE', flying, 0, 0, 'WITHSCORES')
      wait = first[2] and math.max(1, first[2] - now) or -1
    elseif requests < 1 then wait = math.max(1, (1 - requests) / per_s * 1000)
    elseif tokens < need then wait = math.max(1, (need - tokens) / tokens_per_s * 1000)
    else
      in_flight = in_flight + 1
      requests, tokens, b.admitted = requests - 1, tokens - estimate, b.admitted + 1
      redis.call('ZADD', flying, now + lease, id)
      redis.call('HSET', books, 'p:' .. id, estimate .. ':' .. now .. ':' .. in_flight)
      answer[#answer + 1] = id
    end
  end
end

if in_flight >= cap then b.full = now end
if wait then b.short = now end  -- for whoever counts workers: more of them would help nothing now
b.requests, b.tokens, b.filled, b.seen = requests, tokens, now, now
if requests == math.huge then b.requests = nil end
if tokens == math.huge then b.tokens = nil end
for _, name in ipairs(NAMES) do
  if b[name] then redis.call('HSET', books, name, string.format('%.17g', b[name])) else redis.call('HDEL', books, name) end
end
redis.call('PEXPIRE', flying, ttl)
redis.call('PEXPIRE', books, ttl)
answer[1] = math.ceil(wait or 0)
answer[2] = in_flight
return answer
