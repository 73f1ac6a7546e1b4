-- count_ends: what a dispatcher saw of an instance's attempts, added to what all have seen of the
-- generation that is in force.
-- KEYS: info signals
-- ARGV: generation kept_ms ...
-- REST: pairs (name, how many more)
-- RETURNS: "ok", or "stale" when another registration (or none) is in force
-- include: base
if redis.call('HGET', info, 'generation') ~= generation then return 'stale' end
if redis.call('HGET', signals, 'generation') ~= generation then
  redis.call('DEL', signals)
  redis.call('HSET', signals, 'generation', generation)
end
for i = 1, #REST, 2 do redis.call('HINCRBY', signals, REST[i], REST[i + 1]) end
redis.call('PEXPIRE', signals, kept_ms)
return 'ok'
