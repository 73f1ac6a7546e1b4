-- finish: one task that no dispatcher runs reaches its end. Needs: index, live, classes; base,
-- settled, session.lua. What follows from it is published from the outbox by whoever drains it.
-- The outbox entry is "!letter tenant at_ms text".
local function finish(now, id, letter, e, owner, text, counter)
  redis.call('HDEL', index, id)
  redis.call('HSET', outbox_key(owner), id, '!' .. letter .. ' ' .. e.tenant .. ' ' .. integer(now) .. ' ' .. text)
  local remembered = {id, letter .. ' ' .. e.digest}
  remember(now, remembered, e.digest ~= '-' and remembered or {})
  -- First: the next one may take its place in the class.
  if of_session(e.class) then session_over(now, id) end
  drop_live(e.class, 1)
  redis.call('HINCRBY', tenant_key(e.tenant), counter, 1)
end

-- The lane entry of a task that is settled while it waits stays behind as a tombstone: claim skips
-- it because the index no longer knows it. Behind its session's head a task is in no lane.
local function leave_lane(id, e)
  if e.flags == 's' then return leave_session_queue(id) end
  redis.call('HINCRBY', tombs, lane_field(e.tenant, e.class, e.level), 1)
  if redis.call('HINCRBY', waiting, e.class, -1) <= 0 then redis.call('HDEL', waiting, e.class) end
end
