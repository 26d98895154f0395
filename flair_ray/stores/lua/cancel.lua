-- Ask for a cancel. A run that somebody drives stops at its driver's next renewal; a run that nobody
-- drives is cancelled here and now, and marked: it is to be kept for good.
-- KEYS: run hash, lease, event stream, unkept runs
-- ARGV: run id, event name, event data
-- Returns 'gone', 'requested', 'cancelled', or the terminal status that stands in the way.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 'gone' end
if status ~= 'pending' and status ~= 'running' then return status end
redis.call('HSET', KEYS[1], 'cancel', 1)
if redis.call('EXISTS', KEYS[2]) == 1 then return 'requested' end
redis.call('HINCRBY', KEYS[1], 'fence', 1)
local time = redis.call('TIME')
local ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], 'status', 'cancelled', 'exit_code', 130, 'finished_ms', ms)
redis.call('ZADD', KEYS[4], ms, ARGV[1])
redis.call('EXPIRE', KEYS[4], 10 * redis.call('HGET', KEYS[1], 'ttl'))
redis.call('HDEL', KEYS[1], 'cancel')
redis.call('XADD', KEYS[3], '*', 'name', ARGV[2], 'data', ARGV[3])
return 'cancelled'
