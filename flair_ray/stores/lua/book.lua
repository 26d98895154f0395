-- What a tenant's runs of one month may cost and have cost: a run counts as its cap while it goes on, then as what it
-- took. Whoever has read that it had ended, before it went on again, changes nothing by it.
-- KEYS: book, open runs, run hash
-- ARGV: run id, micro-dollars, the most that all may come to (-1: this run has ended), ttl (s),
--       1 when a run that is in the book goes on, when the run ended (ms)
-- Returns 1, or 0 when there is no room (then nothing changes).
local counted = redis.call('HGET', KEYS[1], ARGV[1])
local ended = ARGV[3] == '-1'
local again = ARGV[5] == '1'
local gone_on_from = 'again:' .. ARGV[1]
if ended and (not counted or redis.call('HGET', KEYS[1], gone_on_from) == ARGV[6]) then return 1 end
if counted and not ended and not again then return 1 end
local change = ARGV[2] - (counted or 0)
local total = tonumber(redis.call('HGET', KEYS[1], 'total') or 0)
if not ended and total + change > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'total', change)
if again then redis.call('HSET', KEYS[1], gone_on_from, redis.call('HGET', KEYS[3], 'finished_ms') or '') end
redis.call(ended and 'SREM' or 'SADD', KEYS[2], ARGV[1])
for i = 1, 2 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
return 1
