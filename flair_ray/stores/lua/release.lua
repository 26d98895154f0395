-- Give a lease back, unless it is somebody else's by now. Its driver lives: this run did not end it.
-- KEYS: lease, run hash    ARGV: token, 1 when the run was taken up in vain all the same
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('HDEL', KEYS[2], 'taken') end
return redis.call('DEL', KEYS[1])
