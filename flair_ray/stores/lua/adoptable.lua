-- Which hosted runs nobody drives: waiting ones, and those whose driver is dead. Runs that have ended are forgotten.
-- KEYS: hosted runs
-- ARGV: most to return, first part of a run's key
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, 9999)) do
  if #found >= tonumber(ARGV[1]) then break end -- thousands may wait, and a host asks whenever one of its runs ends
  local run = ARGV[2] .. id
  local state = redis.call('HMGET', run, 'status', 'recover')
  if state[1] ~= 'pending' and state[1] ~= 'running' and not state[2] then
    redis.call('ZREM', KEYS[1], id)
  elseif redis.call('EXISTS', run .. ':lease') == 0 then
    found[#found + 1] = id
  end
end
return found
