-- fleet: who is registered, until when, and the newest event: one look for a dispatcher's snapshot.
-- KEYS: instances fleet_events
-- ARGV: now
-- RETURNS: {now, id of the newest event, flat (id, lease until)}
-- include: base
local newest = redis.call('XREVRANGE', fleet_events, '+', '-', 'COUNT', 1)
return {integer(clock(now)), newest[1] and newest[1][1] or '0-0', redis.call('ZRANGE', instances, 0, -1, 'WITHSCORES')}
