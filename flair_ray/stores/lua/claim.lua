-- Who asks: at most one owner per question. An owner that is no longer alive holds nothing.
-- KEYS: owner's liveness, then per claim: claim, results hash, cached answer
-- ARGV: owner, lease (ms), time to live of a claim (ms), first part of a liveness key, then per claim: item id, shared (0 or 1)
-- Returns per claim {'settled'}, {'shared', answer}, {'lead'} or {'follow', owner, ms that owner lives for at least}.
redis.call('SET', KEYS[1], 1, 'PX', ARGV[2])
local turns = {}
for i = 2, #KEYS, 3 do
  local n = 5 + 2 * (i - 2) / 3
  local result = redis.call('HGET', KEYS[i + 1], ARGV[n])
  local answer = ARGV[n + 1] == '1' and redis.call('GET', KEYS[i + 2])
  if result and string.sub(result, 1, 1) == '+' then
    turns[#turns + 1] = {'settled'}
  elseif answer then
    turns[#turns + 1] = {'shared', answer}
  else
    local holder = redis.call('GET', KEYS[i])
    local left = holder and redis.call('PTTL', ARGV[4] .. holder) or 0
    if left > 0 then
      turns[#turns + 1] = {'follow', holder, left}
    else
      redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[3])
      turns[#turns + 1] = {'lead'}
    end
  end
end
return turns
