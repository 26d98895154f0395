-- Forget a run: everything that is its own goes in one step. What it shares with others, its inputs, ends by its time to live.
-- KEYS: index of all runs, index of the session's runs, hosted runs, then every key of the run
-- ARGV: run id
-- Returns how many of the run's keys there were.
for i = 1, 3 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return redis.call('UNLINK', unpack(KEYS, 4))
