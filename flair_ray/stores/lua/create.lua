-- A new run and its first event, all or nothing.
-- KEYS: run hash, event stream, index of all runs, index of the session's runs, inputs, hosted runs, deleted runs
-- ARGV: run id, spec JSON, session, ttl (s), event name, event data, inputs JSON, stream length kept,
--       1 when the hosts are to drive it, id of the request that made it
-- Returns 1, or 0 when the run exists already or was deleted (then nothing changes): its costs stand, and an equal start
-- under the same key does not make it anew.
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('ZSCORE', KEYS[7], ARGV[1]) then return 0 end
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'spec', ARGV[2], 'session', ARGV[3], 'status', 'pending',
           'created_ms', string.format('%.0f', ms), 'fence', 0, 'ttl', ARGV[4], 'maxlen', ARGV[8],
           'request', ARGV[10])
redis.call('XADD', KEYS[2], '*', 'name', ARGV[5], 'data', ARGV[6])
redis.call('SET', KEYS[5], ARGV[7], 'EX', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
-- An index forgets a run when the run itself is gone: by age, here, so that no sweep is needed.
if ARGV[9] == '1' then
  redis.call('ZADD', KEYS[6], ms, ARGV[1])
  redis.call('EXPIRE', KEYS[6], 10 * ARGV[4])
end
for i = 3, 4 do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', ms - 10 * ARGV[4] * 1000)
  redis.call('ZADD', KEYS[i], ms, ARGV[1])
  redis.call('EXPIRE', KEYS[i], 10 * ARGV[4])
end
return 1
