-- Hand a run over to the hosts, also one that failed or was cancelled: they go on with it. A completed one stays as it is,
-- and one that waits already keeps its place.
-- KEYS: run hash, hosted runs
-- ARGV: run id, id of the request that wants it
-- Returns the status that the run has, false when there is no such run.
local status = redis.call('HGET', KEYS[1], 'status')
if not status or status == 'completed' then return status end
if status == 'failed' or status == 'cancelled' then redis.call('HSET', KEYS[1], 'recover', 1) end
redis.call('HSET', KEYS[1], 'request', ARGV[2])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('EXPIRE', KEYS[2], 10 * redis.call('HGET', KEYS[1], 'ttl'))
return status
