-- stop: a waiting task is settled at once; a held one is flagged, and its dispatcher told. Needs: index, due,
-- parked; base, index, wake, finish.lua.
local function stop(now, id, e, who)
  if e.state == 'C' or e.state == 'R' then
    redis.call('HSET', index, id, index_entry(e.state, e.epoch, e.seq, e.owner, e.tenant, e.class, e.level, e.digest, 'c'))
    redis.call('HSET', cancels_key(e.owner), id, who)
    redis.call('PUBLISH', P .. 'cancelled', e.owner)
    return {'asked', e.owner}
  end
  if e.state == 'W' then
    leave_lane(id, e)
  else
    redis.call('HDEL', parked, id)
    redis.call('HDEL', P .. 'evidence', id)
    redis.call('ZREM', due, 'd:' .. id, 'h:' .. id)
  end
  redis.call('ZREM', due, 'x:' .. id)
  finish(now, id, 'K', e, '-', 'cancelled by ' .. who, 'cancelled')
  redis.call('HINCRBY', tenant_key(e.tenant), 'depth', -1)
  wake_up(1)
  return {'cancelled'}
end
