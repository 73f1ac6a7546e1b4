-- depart: an instance leaves the registry.
-- KEYS: instances fleet_events labels generations lost probes
-- DERIVES: having
-- ARGV: id generation event reason
-- RETURNS: 1 when it was there, and is of that generation ("" is any)
-- include: base registry
local listed = redis.call('HGET', generations, id)
if generation ~= '' and listed and listed ~= generation then return 0 end
local was = redis.call('ZREM', instances, id)
unlabel(labels, id)
redis.call('HDEL', generations, id)
redis.call('HDEL', lost, id)
redis.call('ZREM', probes, id)
tell(fleet_events, event, id, listed or generation, reason)
return was
