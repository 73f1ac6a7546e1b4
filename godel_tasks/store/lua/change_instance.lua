-- change_instance: what an operator wants of an instance. Heartbeats do not undo it.
-- KEYS: info
-- ARGV: drain capacity
-- drain is "1", "0" or "-" (as it is); capacity a number or "-"
-- RETURNS: 1, or 0 when no such instance is registered
-- include: base
if redis.call('HEXISTS', info, 'generation') == 0 then return 0 end
if drain == '1' then
  redis.call('HSET', info, 'drain', '1')
  if redis.call('HGET', info, 'status') == 'up' then redis.call('HSET', info, 'status', 'draining') end
elseif drain == '0' then
  redis.call('HDEL', info, 'drain')
  if redis.call('HGET', info, 'status') == 'draining' then redis.call('HSET', info, 'status', 'up') end
end
if capacity ~= '-' then redis.call('HSET', info, 'capacity', capacity) end
return 1
