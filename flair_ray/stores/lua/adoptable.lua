-- Which hosted runs nobody drives: waiting ones, and those whose driver is dead. Runs that have ended are forgotten.
-- A run that was taken up twice in vain may be what ended its hosts. Of such there is one under way at a time, until
-- something of it is recorded: or its next death would count against the others, too.
-- KEYS: hosted runs
-- ARGV: most to return, first part of a run's key
local found, suspect, on_trial = {}, nil, false
local most = tonumber(ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, 9999)) do
  if #found >= most then break end -- thousands may wait, and a host asks whenever one of its runs ends
  local run = ARGV[2] .. id
  local state = redis.call('HMGET', run, 'status', 'recover', 'taken')
  local taken = tonumber(state[3] or 0)
  if state[1] ~= 'pending' and state[1] ~= 'running' and not state[2] then
    redis.call('ZREM', KEYS[1], id)
  elseif redis.call('EXISTS', run .. ':lease') == 1 then
    on_trial = on_trial or taken > 2
  elseif taken < 2 then
    found[#found + 1] = id
  else
    suspect = suspect or id
  end
end
if suspect and not on_trial then found[math.min(#found + 1, most)] = suspect end
return found
