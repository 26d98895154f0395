-- The record step: an item's outcome, its event and its counters, in one. Nothing else writes results,
-- so the three can never disagree. No fencing: an answer that was paid for is taken from whoever brings it.
-- An answer also ends its claim, wakes those who wait for it, and stays in the cache where it suits others.
-- KEYS: results hash, event stream, tally hash, run hash, claim, cached answer, mark of this delivery
-- ARGV: item id, outcome, event name, event data without completed and total, total, skipped (0 or 1),
--       channel of the claim ('' without one), answer to cache ('' for none), its time to live (s),
--       how long a delivery may be repeated (s), then counter, amount, …
-- Returns {1 if this outcome was taken else 0, completed}; {-1, 0} when the run is gone.
local run = redis.call('HMGET', KEYS[4], 'maxlen', 'ttl')
if not run[1] then return {-1, 0} end
-- A call costs what it costs, also when its answer came second; but not twice because our reply was lost.
if redis.call('SET', KEYS[7], 1, 'NX', 'EX', ARGV[10]) then
  for i = 11, #ARGV, 2 do redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1]) end
end
local first = redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
if first == 1 then
  if ARGV[6] == '1' then redis.call('HINCRBY', KEYS[3], 'skipped', 1) end
elseif ARGV[6] == '0' and string.sub(redis.call('HGET', KEYS[1], ARGV[1]), 1, 1) == '-' then
  -- An answer beats a skip, whenever it comes: the item was given up too early, or a resumed run tried again.
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('HINCRBY', KEYS[3], 'skipped', -1)
  first = 1
end
if ARGV[7] ~= '' and ARGV[6] == '0' then
  if ARGV[8] ~= '' then redis.call('SET', KEYS[6], ARGV[8], 'EX', ARGV[9]) end
  redis.call('DEL', KEYS[5])
  redis.call('PUBLISH', ARGV[7], 1)
end
local completed = redis.call('HLEN', KEYS[1])
if first == 1 then
  -- The data is a JSON object in text; cjson would turn an empty list into an object, so it is spliced.
  local data = string.sub(ARGV[4], 1, -2) .. ',"completed":' .. completed .. ',"total":' .. ARGV[5] .. '}'
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', run[1], '*', 'name', ARGV[3], 'data', data)
  redis.call('HDEL', KEYS[4], 'taken') -- the run goes on
end
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], run[2]) end
return {first, completed}
