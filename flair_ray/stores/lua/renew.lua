-- Keep a lease alive. A lease that ran out but that nobody took is simply taken again.
-- KEYS: lease, run hash
-- ARGV: token, ttl (ms)
-- Returns -1 when a newer token exists, else 1 when a cancel was requested, else 0.
if redis.call('HGET', KEYS[2], 'fence') ~= ARGV[1] then return -1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if redis.call('HEXISTS', KEYS[2], 'cancel') == 1 then return 1 end
return 0
