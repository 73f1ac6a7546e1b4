-- depart: an instance leaves the registry.
-- KEYS: instances fleet_events
-- ARGV: id event
-- RETURNS: 1 when it was there
-- include: base
local was = redis.call('ZREM', instances, id)
redis.call('XADD', fleet_events, 'MAXLEN', '~', '1000', '*', 'event', event, 'instance', id)
return was
