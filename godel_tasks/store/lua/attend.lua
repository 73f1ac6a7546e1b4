-- attend: renew the registry leases of instances, and tell of what changed. A lease is never made
-- shorter: whoever heard of the instance last is right.
-- KEYS: instances fleet_events generations lost
-- ARGV: now lease_ms event ...
-- REST: instance ids
-- RETURNS: Redis's time in ms
-- include: base registry
local now_ms = clock(now)
local told = #REST > 0 and hmget(lost, REST) or {}
for i, id in ipairs(REST) do
  redis.call('ZADD', instances, 'GT', integer(now_ms + tonumber(lease_ms)), id)
  local came_back = told[i] and tonumber(lease_ms) > 0
  if came_back then redis.call('HDEL', lost, id) end
  if event ~= '' or came_back then
    local what = event ~= '' and event or 'instance.recovered'
    local reason = came_back and 'it is heard of again' or ''
    tell(fleet_events, what, id, redis.call('HGET', generations, id), reason)
  end
end
return integer(now_ms)
