-- register: an instance comes (again): a new generation. Whatever ran under the old one is over, so
-- its slots are free.
-- KEYS: info slots orphans breaker
-- ARGV: now ...
-- REST: pairs (field, value) of the static fields
-- RETURNS: the generation
-- include: base breaker
local generation = redis.call('HINCRBY', info, 'generation', 1)
redis.call('DEL', slots, orphans)
breaker_probe_anew(clock(now))
-- Which boot this generation stands for is for whoever attends it to say.
redis.call('HDEL', info, 'boot_id', 'attendant', 'attendant_until')
-- A zombie that registers anew is one until it has been seen to work.
if redis.call('HGET', info, 'zombie') ~= '1' then
  redis.call('HDEL', info, 'health', 'health_reason', 'health_told', 'latency_ms', 'components', 'probed')
end
-- One that an operator drains, and that comes back by itself, goes on draining.
local status = redis.call('HEXISTS', info, 'drain') == 1 and 'draining' or 'up'
redis.call('HSET', info, 'status', status, 'registered_ms', integer(clock(now)), unpack(REST))
-- Kept for good once it is attended: one that dies before that must not stay for ever.
redis.call('PEXPIRE', info, 86400000)
return generation
