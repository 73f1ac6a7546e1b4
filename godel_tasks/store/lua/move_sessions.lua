-- move_sessions: the heads that wait for an instance which does not serve may run anywhere: their sessions
-- leave it, and start fresh on the next one.
-- KEYS: index classes live waiting meta wake sleepers seqs tombs
-- DERIVES: lane ready tenant sessioned session pinned moved unroutable
-- ARGV: now class reason limit
-- RETURNS: how many sessions were moved
-- include: base index record live pin lane peek_lane wake
-- The last ones go first, each to the head of its new lane: they have waited their turn, and keep their order.
local now_ms = clock(now)
local instance = string.match(class, '~([^!]+)$')
if not instance then return 0 end
local moved = 0

local function move(r, record, e)
  local name = session_of(r.id)
  local key = session_key(name)
  unbind(name)
  redis.call('HINCRBY', key, 'moves', 1)
  redis.call('HSET', key, 'moved_from', instance, 'moved_ms', integer(now_ms), 'moved_why', reason)
  redis.call('HSET', P .. 'moved', r.id, 'session moved from ' .. instance .. ': ' .. reason .. '; started fresh')
  enter_head(r, record, e.epoch, e.digest)
  moved = moved + 1
end

for _, tenant in ipairs(redis.call('ZRANGE', ready_key(class), 0, -1)) do
  for level = 0, 3 do
    local field = lane_field(tenant, class, level)
    local room = tonumber(limit) - moved
    local records = room > 0 and redis.call('LRANGE', lane_key(field), -room, -1) or {}
    if #records > 0 then redis.call('LTRIM', lane_key(field), 0, -1 - #records) end
    local gone = 0
    for i = #records, 1, -1 do
      local r = parse_record(records[i])
      local entry = redis.call('HGET', index, r.id)
      local e = entry and parse_index(entry)
      if e and e.state == 'W' and e.seq == r.seq then
        if redis.call('HINCRBY', waiting, class, -1) <= 0 then redis.call('HDEL', waiting, class) end
        move(r, records[i], e)
      else
        gone = gone + 1
      end
    end
    if gone > 0 and redis.call('HINCRBY', tombs, field, -gone) <= 0 then redis.call('HDEL', tombs, field) end
  end
  rekey_ready(tenant, class, tonumber(redis.call('ZSCORE', ready_key(class), tenant)))
  if moved >= tonumber(limit) then break end
end
if moved > 0 then wake_up(moved) end
return moved
