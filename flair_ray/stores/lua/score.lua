-- A script's result has come in: how well the persona predicted it, once per run and script.
-- KEYS: persona
-- ARGV: ttl_s, run id, script id, agreement
local past = cjson.decode(redis.call('HGET', KEYS[1], 'past') or '[]')
for _, ballot in ipairs(past) do
  if ballot.run_id == ARGV[2] then
    local ranked, scored = false, ballot.scored or {}
    for _, id in ipairs(ballot.top) do ranked = ranked or id == ARGV[3] end
    for _, id in ipairs(scored) do if id == ARGV[3] then return 0 end end
    if not ranked then return 0 end
    table.insert(scored, ARGV[3])
    ballot.scored = scored
    redis.call('HSET', KEYS[1], 'past', cjson.encode(past))
    redis.call('HINCRBY', KEYS[1], 'scored', 1)
    redis.call('HINCRBYFLOAT', KEYS[1], 'agreed', ARGV[4])
    redis.call('EXPIRE', KEYS[1], ARGV[1])
    return 1
  end
end
return 0
