-- cancel: a waiting task is settled at once; a held one is flagged, and its dispatcher told.
-- KEYS: index classes live waiting due wake sleepers parked tombs
-- DERIVES: outbox settled known tenant cancels evidence
-- ARGV: now id who running_too
-- RETURNS: {"unknown"} | {"settled", letter} | {"cancelled"} | {"asked", dispatcher} | {"running"}
-- include: base index wake settled finish
local now_ms = clock(now)
local entry = redis.call('HGET', index, id)
if not entry then
  local past = recall(now_ms, {id})[1]
  if past then return {'settled', string.sub(past, 1, 1)} end
  return {'unknown'}
end
local e = parse_index(entry)
if e.state == 'C' or e.state == 'R' then
  if running_too ~= '1' then return {'running'} end
  redis.call('HSET', index, id, index_entry(e.state, e.epoch, e.seq, e.owner, e.tenant, e.class, e.level, e.digest, 'c'))
  redis.call('HSET', cancels_key(e.owner), id, who)
  redis.call('PUBLISH', P .. 'cancelled', e.owner)
  return {'asked', e.owner}
end
if e.state == 'W' then
  leave_lane(e)
else
  redis.call('HDEL', parked, id)
  redis.call('HDEL', P .. 'evidence', id)
  redis.call('ZREM', due, 'd:' .. id, 'h:' .. id)
end
redis.call('ZREM', due, 'x:' .. id)
finish(now_ms, id, 'K', e, '-', 'cancelled by ' .. who, 'cancelled')
redis.call('HINCRBY', tenant_key(e.tenant), 'depth', -1)
wake_up(1)
return {'cancelled'}
