-- What a reserved call took in the end, once: the rest of its reservation is free again. Never refused, whatever the
-- cap: it has been spent. A call that nobody reserved, or that is settled, changes nothing.
-- KEYS: budget hash, reservations hash of the stage
-- ARGV: stage, item id, owner and attempt, micro-dollars or -1 for a call that may have been billed all the same
-- Returns 1 if this settled it else 0.
local function count(name, by) redis.call('HINCRBY', KEYS[1], name .. ':' .. ARGV[1], by) end
local held = cjson.decode(redis.call('HGET', KEYS[2], ARGV[2]) or '{}')
local amount, spent = held[ARGV[3]], tonumber(ARGV[4])
if not amount then return 0 end
local time = redis.call('TIME')
if amount > 0 then
  count('reserved', -amount)
  count('open', -1)
  if spent < 0 then count('unsure', amount) end
elseif spent >= 0 then
  count('unsure', amount)
end
if spent >= 0 then redis.call('HINCRBY', KEYS[1], 'total', spent - math.abs(amount)) end
redis.call('HSET', KEYS[1], 'moved:' .. ARGV[1], time[1] * 1000 + math.floor(time[2] / 1000))
held[ARGV[3]] = nil
if next(held) then
  redis.call('HSET', KEYS[2], ARGV[2], cjson.encode(held))
else
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return 1
