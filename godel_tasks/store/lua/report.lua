-- report: an instance's heartbeat, written only by the generation that is in force.
-- KEYS: info
-- ARGV: generation ...
-- REST: pairs (field, value) of the reported fields
-- RETURNS: "ok", or "stale" when a newer registration (or none) is in force
-- include: base
if redis.call('HGET', info, 'generation') ~= generation or redis.call('HGET', info, 'status') == 'dead' then
  return 'stale'
end
redis.call('HSET', info, unpack(REST))
-- An operator wants it to drain, whatever it says of itself.
if redis.call('HEXISTS', info, 'drain') == 1 then redis.call('HSET', info, 'status', 'draining') end
return 'ok'
