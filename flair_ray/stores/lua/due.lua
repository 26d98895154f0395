-- Which ended runs are to be kept for good, each handed out once in a while until it is kept: whoever takes one may die, or
-- find the archive away. What waits does not expire.
-- KEYS: unkept runs
-- ARGV: most to return, ms until one is handed out again, first part of a run's key
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms, 'LIMIT', 0, ARGV[1])) do
  local ttl = redis.call('HGET', ARGV[3] .. id, 'ttl')
  if ttl then
    redis.call('EXPIRE', ARGV[3] .. id, ttl)
    redis.call('ZADD', KEYS[1], ms + ARGV[2], id)
    redis.call('EXPIRE', KEYS[1], 10 * ttl)
    found[#found + 1] = id
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return found
