-- Give a lease back, unless it is somebody else's by now. Its driver lives: this run did not end it.
-- KEYS: lease, run hash    ARGV: token
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], 'taken')
return redis.call('DEL', KEYS[1])
