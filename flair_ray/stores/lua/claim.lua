-- Who asks: at most one owner per question. An owner that is no longer alive holds nothing.
-- KEYS: owner's liveness, then per claim: claim, results hash, cached answer
-- ARGV: lease (ms), time to live of a claim (ms), first part of a liveness key, then per claim: holder (OWNER:number),
--       item id, shared (0 or 1)
-- Returns per claim {'settled'}, {'shared', answer}, {'lead'} or {'follow', owner, ms that owner lives for at least}.
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
local turns = {}
for i = 2, #KEYS, 3 do
  local mine, item, shared = ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local result = redis.call('HGET', KEYS[i + 1], item)
  local answer = shared == '1' and redis.call('GET', KEYS[i + 2])
  if result and string.sub(result, 1, 1) == '+' then
    turns[#turns + 1] = {'settled'}
  elseif answer then
    turns[#turns + 1] = {'shared', answer}
  else
    local holder = redis.call('GET', KEYS[i])
    local owner = holder and string.match(holder, '^[^:]*')
    local left = owner and redis.call('PTTL', ARGV[3] .. owner) or 0
    if left > 0 and holder ~= mine then
      turns[#turns + 1] = {'follow', owner, left}
    else  -- nobody's, a dead owner's, or ours already: the reply that granted it was lost
      redis.call('SET', KEYS[i], mine, 'PX', ARGV[2])
      turns[#turns + 1] = {'lead'}
    end
  end
end
return turns
