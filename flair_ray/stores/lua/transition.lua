-- A fenced change of a run's state with its events: begin or complete a stage, reopen, finish.
-- The first transition of a name wins; repeating it returns what the first one stored.
-- A run that ends is marked: it is to be kept for good.
-- KEYS: run hash, event stream, unkept runs
-- ARGV: run id, token, once-field ('' for none), its value, number of field/value pairs, field, value, …,
--       then event name, event data, …
-- Returns false when a newer token exists, else the once-field's stored value ('' without one).
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[2] then return false end
local once = ARGV[3]
if once ~= '' and redis.call('HSETNX', KEYS[1], once, ARGV[4]) == 0 then
  return redis.call('HGET', KEYS[1], once)
end
local time = redis.call('TIME')
local ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local ttl = redis.call('HGET', KEYS[1], 'ttl')
local pairs_end = 5 + 2 * ARGV[5]
for i = 6, pairs_end, 2 do
  local value = ARGV[i + 1]
  if value == '@now' then value = ms end
  if value == '@del' then redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], value)
    if ARGV[i] == 'finished_ms' then
      redis.call('ZADD', KEYS[3], ms, ARGV[1])
      redis.call('EXPIRE', KEYS[3], 10 * ttl)
    end
  end
end
local maxlen = redis.call('HGET', KEYS[1], 'maxlen')
for i = pairs_end + 1, #ARGV, 2 do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', maxlen, '*', 'name', ARGV[i], 'data', ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return ARGV[4]
