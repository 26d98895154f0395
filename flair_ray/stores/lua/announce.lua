-- An item's start, told once however often the item is attempted.
-- KEYS: started set, event stream, run hash
-- ARGV: item id, event name, event data
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
local run = redis.call('HMGET', KEYS[3], 'maxlen', 'ttl')
if not run[1] then return redis.call('DEL', KEYS[1]) end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', run[1], '*', 'name', ARGV[2], 'data', ARGV[3])
redis.call('EXPIRE', KEYS[1], run[2])
return 1
