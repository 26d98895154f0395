-- The holder of a claim brings nothing: wake those who wait, the next to ask leads.
-- KEYS: claim
-- ARGV: holder, channel
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], 1)
return 1
