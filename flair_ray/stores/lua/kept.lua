-- A run was kept for good as it ended. One that has ended again since is still to be kept.
-- KEYS: unkept runs, run hash, deleted runs
-- ARGV: run id, when the run ended that was kept, ms
-- Returns 0 when the run was deleted meanwhile, else 1.
local ended = redis.call('HGET', KEYS[2], 'finished_ms')
if ended and ended ~= ARGV[2] then
  redis.call('ZADD', KEYS[1], 0, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZSCORE', KEYS[3], ARGV[1]) and 0 or 1
