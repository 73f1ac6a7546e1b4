-- note_health: a verdict on an instance's health, only about the generation that is in force.
-- KEYS: info health
-- ARGV: generation memory kept_ms ...
-- REST: pairs (field, value)
-- RETURNS: "ok", or "stale" when another registration (or none) is in force
-- include: base
if redis.call('HGET', info, 'generation') ~= generation then return 'stale' end
redis.call('HSET', info, unpack(REST))
redis.call('SET', health, memory, 'PX', kept_ms)
return 'ok'
