-- Ask for a cancel. A run that somebody drives stops at its driver's next renewal; a run that nobody
-- drives is cancelled here and now.
-- KEYS: run hash, lease, event stream
-- ARGV: event name, event data
-- Returns 'gone', 'requested', 'cancelled', or the terminal status that stands in the way.
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 'gone' end
if status ~= 'pending' and status ~= 'running' then return status end
redis.call('HSET', KEYS[1], 'cancel', 1)
if redis.call('EXISTS', KEYS[2]) == 1 then return 'requested' end
redis.call('HINCRBY', KEYS[1], 'fence', 1)
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'status', 'cancelled', 'exit_code', 130,
           'finished_ms', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('HDEL', KEYS[1], 'cancel')
redis.call('XADD', KEYS[3], '*', 'name', ARGV[1], 'data', ARGV[2])
return 'cancelled'
