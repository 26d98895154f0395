-- A step of a video job that is being made. The first call to ask, and the first end, win.
-- KEYS: the run's video jobs, jobs that are to be made
-- ARGV: member, job id, step (asked, named, complete or failed), value, ttl (s)
-- Returns 1, or 0 when there is no such step any more.
local job, step, value = ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', KEYS[1], job .. ':status') ~= 'processing' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
if step == 'asked' then
  redis.call('HSETNX', KEYS[1], job .. ':asker', value)
  return redis.call('HGET', KEYS[1], job .. ':asker') == value and 1 or 0
end
if step == 'named' then
  redis.call('HSET', KEYS[1], job .. ':operation', value)
else
  redis.call('HSET', KEYS[1], job .. ':status', step)
  if step == 'failed' then redis.call('HSET', KEYS[1], job .. ':error', value) end
  redis.call('ZREM', KEYS[2], ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
