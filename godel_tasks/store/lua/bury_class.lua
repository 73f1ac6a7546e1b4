-- bury_class: fail what has waited too long in a class that no instance can run.
-- KEYS: index classes live waiting meta due wake sleepers parked seqs tombs dead dead_at dead_classes unroutable
-- DERIVES: lane ready tenant outbox settled known sessioned session behind members sessions pinned moved
-- ARGV: now class limit_ms batch_size text
-- RETURNS: how many were buried
-- include: base index record live pin lane wake session settled finish peek_lane
local now_ms = clock(now)
if not redis.call('HGET', waiting, class) then
  -- Who thought so looked at what had been.
  redis.call('HDEL', unroutable, class)
  return 0
end
local since = tonumber(redis.call('HGET', unroutable, class) or integer(now_ms))
if now_ms - since < tonumber(limit_ms) then return 0 end
local buried = 0
local function bury(id, e, letter, why, counter)
  finish(now_ms, id, letter, e, '-', why, counter)
  redis.call('ZREM', due, 'x:' .. id)
  if redis.call('HINCRBY', waiting, e.class, -1) <= 0 then redis.call('HDEL', waiting, e.class) end
  redis.call('HINCRBY', tenant_key(e.tenant), 'depth', -1)
  buried = buried + 1
end
local function on_expired(id, e) bury(id, e, 'X', 'it did not start in time', 'expired') end

for _, name in ipairs(redis.call('ZRANGE', ready_key(class), 0, -1)) do
  for level = 0, 3 do
    local lane = open_lane(lane_field(name, class, level), level, 16)
    local head = head_of(lane, now_ms, on_expired)
    while head and buried < tonumber(batch_size) and now_ms - head.entry >= tonumber(limit_ms) do
      redis.call('HSET', dead, head.id, head.record)
      redis.call('ZADD', dead_at, integer(now_ms), head.id)
      redis.call('HSETNX', dead_classes, class, redis.call('HGET', classes, class) or '')
      bury(head.id, parse_index(redis.call('HGET', index, head.id)), 'F', text, 'failed')
      lane.at = lane.at + 1
      head = head_of(lane, now_ms, on_expired)
    end
    trim_lane(lane)
  end
  rekey_ready(name, class, tonumber(redis.call('ZSCORE', ready_key(class), name)))
  if buried >= tonumber(batch_size) then break end
end
if buried > 0 then wake_up(1) end
return buried
