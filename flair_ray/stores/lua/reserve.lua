-- Room in a run's budget for one call about to be sent, at its worst. What another owner has left open for this item
-- belongs to a dead worker: its calls may have been billed, so they stay counted, as unsure.
-- KEYS: budget hash, reservations hash of the stage
-- ARGV: stage, item id, owner and ":", attempt, micro-dollars, allowance, ttl_s, ms after which what is open is dead
-- Returns 1: reserved. 0: not now, calls in flight may leave room. -1: no room, and nothing in flight.
local function count(name, by) redis.call('HINCRBY', KEYS[1], name .. ':' .. ARGV[1], by) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = cjson.decode(redis.call('HGET', KEYS[2], ARGV[2]) or '{}')
for call, amount in pairs(held) do
  if amount > 0 and string.sub(call, 1, #ARGV[3]) ~= ARGV[3] then
    held[call] = -amount
    count('reserved', -amount)
    count('unsure', amount)
    count('open', -1)
  end
end
local mine, worst, answer = ARGV[3] .. ARGV[4], tonumber(ARGV[5]), 1
if not held[mine] then
  local total = tonumber(redis.call('HGET', KEYS[1], 'total') or 0)
  if total + worst <= tonumber(ARGV[6]) then
    held[mine] = worst
    redis.call('HINCRBY', KEYS[1], 'total', worst)
    count('reserved', worst)
    count('open', 1)
    redis.call('HSET', KEYS[1], 'moved:' .. ARGV[1], now)
  else
    local open = redis.call('HMGET', KEYS[1], 'open:' .. ARGV[1], 'moved:' .. ARGV[1])
    answer = (tonumber(open[1] or 0) <= 0 or now - tonumber(open[2] or 0) > tonumber(ARGV[8])) and -1 or 0
  end
end
if next(held) then redis.call('HSET', KEYS[2], ARGV[2], cjson.encode(held)) end
for i = 1, 2 do redis.call('EXPIRE', KEYS[i], ARGV[7]) end
return answer
