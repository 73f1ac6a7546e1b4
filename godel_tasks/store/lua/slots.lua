-- slots: give slots of an instance back, and take some; never more than its capacity in all.
-- KEYS: info slots orphans
-- ARGV: generation dispatcher first count ...
-- REST: names of the slots to free
-- RETURNS: {status or "gone", generation, granted, used, capacity, orphaned}
-- include: base
local orphaned = redis.call('HLEN', orphans)
if #REST > 0 then
  bulk('HDEL', slots, REST)
  if orphaned > 0 then
    bulk('HDEL', orphans, REST)
    orphaned = redis.call('HLEN', orphans)
  end
end
local f = redis.call('HMGET', info, 'status', 'generation', 'capacity')
if not f[1] then return {'gone', 0, 0, 0, 0, 0} end
local used, capacity, granted = redis.call('HLEN', slots) + orphaned, tonumber(f[3]), 0
local wanted = tonumber(count)
if wanted > 0 and f[1] == 'up' and f[2] == generation then
  local base, pairs_new = tonumber(first), {}
  if redis.call('HEXISTS', slots, dispatcher .. '/' .. first) == 1 then
    -- A repeat (its reply was lost) finds the same names there, and they are granted again.
    while granted < wanted and redis.call('HEXISTS', slots, dispatcher .. '/' .. integer(base + granted)) == 1 do
      granted = granted + 1
    end
  else
    granted = math.max(0, math.min(wanted, capacity - used))
    for i = 0, granted - 1 do
      pairs_new[2 * i + 1] = dispatcher .. '/' .. integer(base + i)
      pairs_new[2 * i + 2] = '1'
    end
    if granted > 0 then bulk('HSET', slots, pairs_new) end
    used = used + granted
  end
end
return {f[1], tonumber(f[2]), granted, used, capacity, orphaned}
