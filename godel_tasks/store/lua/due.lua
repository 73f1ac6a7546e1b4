-- due: what has come due: delayed tasks enter their lane, late ones expire, holds end.
-- KEYS: index classes live waiting meta due wake sleepers parked seqs tombs
-- DERIVES: lane ready tenant outbox settled known evidence sessioned session behind members sessions pinned moved unroutable
-- ARGV: now limit
-- RETURNS: {handled, next due in ms or ""}
-- include: base index record live pin lane wake session settled finish
local now_ms = clock(now)
local members = redis.call('ZRANGEBYSCORE', due, '-inf', integer(now_ms), 'LIMIT', 0, limit)
local promoted, settled = 0, 0

local function leave_parking(id, e)
  redis.call('HDEL', parked, id)
  redis.call('HDEL', P .. 'evidence', id)
  redis.call('ZREM', due, 'd:' .. id, 'h:' .. id, 'x:' .. id)
end

local function expire(id, e)
  finish(now_ms, id, 'X', e, '-', 'it did not start in time', 'expired')
  redis.call('HINCRBY', tenant_key(e.tenant), 'depth', -1)
  settled = settled + 1
end

for _, member in ipairs(members) do
  local kind, id = string.sub(member, 1, 1), string.sub(member, 3)
  redis.call('ZREM', due, member)
  local entry = redis.call('HGET', index, id)
  local e = entry and parse_index(entry)
  if e and kind == 'd' and e.state == 'D' then
    local record = redis.call('HGET', parked, id)
    local r = parse_record(record)
    if r.start_by > 0 and r.start_by <= now_ms then
      leave_parking(id, e)
      expire(id, e)
    else
      redis.call('HDEL', parked, id)
      if of_session(r.class) then join_session(now_ms, r, body_of(record), e)
      else enter_tail(r, body_of(record), e.epoch, e.digest, now_ms) end
      promoted = promoted + 1
    end
  elseif e and kind == 'x' and e.state == 'W' then
    leave_lane(id, e)
    expire(id, e)
  elseif e and kind == 'x' and e.state == 'D' then
    leave_parking(id, e)
    expire(id, e)
  elseif e and kind == 'h' and e.state == 'H' then
    leave_parking(id, e)
    finish(now_ms, id, 'F', e, '-', 'nobody resolved the hold in time', 'failed')
    redis.call('HINCRBY', tenant_key(e.tenant), 'depth', -1)
    settled = settled + 1
  end
end
if promoted + settled > 0 then wake_up(promoted + settled) end
local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
return {#members, head[2] or ''}
