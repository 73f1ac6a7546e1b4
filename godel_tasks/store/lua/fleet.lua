-- fleet: who is registered and until when, and what was told since: one look for a snapshot.
-- KEYS: instances fleet_events
-- ARGV: now since
-- since: the newest event that the caller knows; "" asks for no events
-- RETURNS: {now, id of the newest event, flat (id, lease until), instances that events name, or
--   "all" where some of them may have been cut from the stream}
-- include: base
local MOST = 1000
local newest = redis.call('XREVRANGE', fleet_events, '+', '-', 'COUNT', 1)
newest = newest[1] and newest[1][1] or '0-0'
local leases = redis.call('ZRANGE', instances, 0, -1, 'WITHSCORES')
local named, seen = {}, {}
if since ~= '' and since ~= newest then
  local told = redis.call('XRANGE', fleet_events, since, '+', 'COUNT', MOST + 1)
  -- The caller's own event is still there, so nothing behind it was cut.
  if not told[1] or told[1][1] ~= since or #told > MOST then
    return {integer(clock(now)), newest, leases, 'all'}
  end
  for i = 2, #told do
    local fields = told[i][2]
    for f = 1, #fields, 2 do
      local id = fields[f + 1]
      if fields[f] == 'instance' and not seen[id] then
        seen[id] = true
        named[#named + 1] = id
      end
    end
  end
end
return {integer(clock(now)), newest, leases, named}
