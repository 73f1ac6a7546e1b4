-- claim_probes: take instances whose probe is due. Nobody else gets them until they are `probed`, or
-- the hold is over: then whoever took them is taken for dead.
-- KEYS: instances probes
-- ARGV: now limit every_ms hold_ms
-- RETURNS: {end of the hold, ids}
-- include: base
local now_ms = clock(now)
if redis.call('ZCARD', probes) < redis.call('ZCARD', instances) then
  -- Some were never scheduled: spread them over one interval.
  local all = redis.call('ZRANGE', instances, 0, -1)
  for i, id in ipairs(all) do
    redis.call('ZADD', probes, 'NX', integer(now_ms + math.floor((i - 1) * tonumber(every_ms) / #all)), id)
  end
end
local due = redis.call('ZRANGEBYSCORE', probes, '-inf', integer(now_ms), 'LIMIT', 0, limit)
local held_until, ids = integer(now_ms + tonumber(hold_ms)), {}
for _, id in ipairs(due) do
  if redis.call('ZSCORE', instances, id) then
    redis.call('ZADD', probes, held_until, id)
    ids[#ids + 1] = id
  else
    redis.call('ZREM', probes, id)
  end
end
return {held_until, ids}
