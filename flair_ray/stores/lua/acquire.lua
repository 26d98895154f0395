-- One driver at a time: take the lease if nobody holds it, under a fencing token that only grows. It is counted how often
-- that came to nothing: whoever records something, or gives the lease back alive, begins the count anew.
-- KEYS: lease, run hash
-- ARGV: ttl (ms), name of this attempt: who asks again because the reply was lost has it already
-- Returns {token, take-ups since something was recorded}; {0, 0} when another driver holds the lease, {-1, 0} when there
-- is no such run.
if redis.call('EXISTS', KEYS[2]) == 0 then return {-1, 0} end
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('HGET', KEYS[2], 'holder') ~= ARGV[2] then return {0, 0} end
  return {tonumber(redis.call('GET', KEYS[1])), tonumber(redis.call('HGET', KEYS[2], 'taken') or 1)}
end
local token = redis.call('HINCRBY', KEYS[2], 'fence', 1)
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
redis.call('HSET', KEYS[2], 'holder', ARGV[2])
return {token, redis.call('HINCRBY', KEYS[2], 'taken', 1)}
