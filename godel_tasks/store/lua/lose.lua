-- lose: tell once that the lease of a registration is over. `end_now` may be "now", which ends it, or
-- "quietly", which ends it and leaves the telling to who judges by it.
-- KEYS: instances fleet_events generations lost
-- ARGV: now id generation end_now reason
-- RETURNS: 1 when it was told (or ended), 0 when it lives, was told before, or another registration is in force
-- include: base registry
local ends = redis.call('ZSCORE', instances, id)
local listed = redis.call('HGET', generations, id)
if not ends or (listed and listed ~= generation) then return 0 end
local now_ms = clock(now)
if tonumber(ends) > now_ms then
  if end_now == '' then return 0 end
  redis.call('ZADD', instances, integer(now_ms), id)
end
if end_now == 'quietly' then return 1 end
if redis.call('HGET', lost, id) == generation then return 0 end
redis.call('HSET', lost, id, generation)
tell(fleet_events, 'instance.lost', id, generation, reason)
return 1
