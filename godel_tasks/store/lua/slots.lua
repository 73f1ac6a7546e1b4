-- slots: give slots of an instance back, and take some; never more than its capacity in all.
-- KEYS: info slots orphans
-- ARGV: now generation dispatcher first count ...
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
  -- A repeat finds the same names there, and they are granted again.
  local names = {}
  for i = 0, wanted - 1 do names[i + 1] = dispatcher .. '/' .. integer(tonumber(first) + i) end
  local there = hmget(slots, names)
  local now_text, pairs_new = integer(clock(now)), {}
  for i = 1, wanted do
    if there[i] then
      granted = granted + 1
    elseif used < capacity then
      used, granted = used + 1, granted + 1
      pairs_new[#pairs_new + 1] = names[i]
      pairs_new[#pairs_new + 1] = now_text
    else
      break
    end
  end
  if #pairs_new > 0 then bulk('HSET', slots, pairs_new) end
end
return {f[1], tonumber(f[2]), granted, used, capacity, orphaned}
