-- enlist: an instance whose hash is written stands in the registry from now on: lease, index, next
-- probe, and everybody is told, all at once.
-- KEYS: instances fleet_events labels generations lost probes
-- DERIVES: having
-- ARGV: now id generation lease_ms ...
-- REST: labels, as policy/labels.py makes them
-- RETURNS: 1, or 0 when a newer generation is listed already
-- include: base registry
local listed = redis.call('HGET', generations, id)
if listed and tonumber(listed) > tonumber(generation) then return 0 end
local now_ms = clock(now)
unlabel(labels, id)
label_as(labels, id, REST)
redis.call('HSET', generations, id, generation)
-- One without a lease is not there yet: that it is not is no loss.
if tonumber(lease_ms) > 0 then redis.call('HDEL', lost, id) else redis.call('HSET', lost, id, generation) end
redis.call('ZADD', probes, integer(now_ms), id)
redis.call('ZADD', instances, integer(now_ms + tonumber(lease_ms)), id)
tell(fleet_events, 'instance.registered', id, generation, '')
return 1
