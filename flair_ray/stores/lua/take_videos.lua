-- Jobs that nobody is at work on, oldest first; whoever takes one has it until its lease ends.
-- KEYS: jobs that are to be made    ARGV: how many at most, lease (ms), the one that is wanted, or empty
-- Returns the members taken.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
if ARGV[3] ~= '' then
  local at = redis.call('ZSCORE', KEYS[1], ARGV[3])
  due = (at and tonumber(at) <= now) and {ARGV[3]} or {}
end
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + ARGV[2], member) end
return due
