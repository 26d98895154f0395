-- One job per script and provider: the latest one, unless it has failed or is over and wanted anew; then a new one
-- takes its place.
-- KEYS: the run's video jobs, jobs that are to be made
-- ARGV: run id, new job id, script id, provider, ttl (s), 1 when a complete one is wanted anew
-- Returns the id of the job.
local place = 'latest:' .. ARGV[4] .. ':' .. ARGV[3]
local latest = redis.call('HGET', KEYS[1], place)
local status = latest and redis.call('HGET', KEYS[1], latest .. ':status')
if status == 'processing' or (status == 'complete' and ARGV[6] == '0') then return latest end
local job = ARGV[2]
redis.call('HSET', KEYS[1], place, job, job .. ':status', 'processing', job .. ':script', ARGV[3],
           job .. ':provider', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1] .. ' ' .. job)
redis.call('EXPIRE', KEYS[2], ARGV[5])
return job
