-- Forget a run: everything that is its own goes in one step. What it shares with others, its inputs, ends by its time to live.
-- For a day it is known that it was deleted: neither whoever is keeping it just then nor a start that is repeated under
-- its key may bring it back.
-- KEYS: index of all runs, index of the session's runs, hosted runs, unkept runs, deleted runs, then every key of the run
-- ARGV: run id
-- Returns how many of the run's keys there were.
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', time[1] - 86400)
redis.call('ZADD', KEYS[5], time[1], ARGV[1])
redis.call('EXPIRE', KEYS[5], 86400)
for i = 1, 4 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return redis.call('UNLINK', unpack(KEYS, 6))
