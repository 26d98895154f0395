-- A run's ballots become part of what is remembered of its personas, once per run; the oldest make room.
-- KEYS: one persona each
-- ARGV: ttl_s, kept, run id, per persona its ballot (JSON)
local added = 0
for i, key in ipairs(KEYS) do
  local past, known = cjson.decode(redis.call('HGET', key, 'past') or '[]'), false
  for _, ballot in ipairs(past) do known = known or ballot.run_id == ARGV[3] end
  if not known then
    table.insert(past, cjson.decode(ARGV[3 + i]))
    while #past > tonumber(ARGV[2]) do table.remove(past, 1) end
    redis.call('HSET', key, 'past', cjson.encode(past))
    redis.call('EXPIRE', key, ARGV[1])
    added = added + 1
  end
end
return added
