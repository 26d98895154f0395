-- One driver at a time: take the lease if nobody holds it, under a fencing token that only grows.
-- KEYS: lease, run hash
-- ARGV: ttl (ms), name of this attempt: who asks again because the reply was lost has it already
-- Returns the token, 0 when another driver holds the lease, -1 when there is no such run.
if redis.call('EXISTS', KEYS[2]) == 0 then return -1 end
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('HGET', KEYS[2], 'holder') == ARGV[2] then return tonumber(redis.call('GET', KEYS[1])) end
  return 0
end
local token = redis.call('HINCRBY', KEYS[2], 'fence', 1)
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
redis.call('HSET', KEYS[2], 'holder', ARGV[2])
return token
