-- attend: renew the registry leases of instances, and tell of what changed.
-- KEYS: instances fleet_events
-- ARGV: now lease_ms event ...
-- REST: instance ids
-- RETURNS: Redis's time in ms
-- include: base
local now_ms = clock(now)
for _, id in ipairs(REST) do
  redis.call('ZADD', instances, integer(now_ms + tonumber(lease_ms)), id)
  if event ~= '' then
    redis.call('XADD', fleet_events, 'MAXLEN', '~', '1000', '*', 'event', event, 'instance', id)
  end
end
return integer(now_ms)
