-- slots: give slots of an instance back, and take some; never more than its capacity in all. None
-- are given while its breaker is open; while it is half-open only as many as probes may be made, and
-- the slot's name is the permit.
-- KEYS: info slots orphans breaker
-- ARGV: now generation dispatcher first count ...
-- REST: names of the slots to free
-- RETURNS: {status or "gone", generation, granted, used, capacity, orphaned, the breaker's state (""
-- where nobody asked for slots), whether it became half-open just now}
-- include: base breaker
local orphaned = redis.call('HLEN', orphans)
if #REST > 0 then
  bulk('HDEL', slots, REST)
  if orphaned > 0 then
    bulk('HDEL', orphans, REST)
    orphaned = redis.call('HLEN', orphans)
  end
end
local f = redis.call('HMGET', info, 'status', 'generation', 'capacity')
if not f[1] then return {'gone', 0, 0, 0, 0, 0, '', 0} end
local used, capacity, granted = redis.call('HLEN', slots) + orphaned, tonumber(f[3]), 0
local wanted, fuse, moved = tonumber(count), '', 0

-- A probe's slot is its permit, for as long as the slot is in use.
local function free_again(slot)
  return redis.call('HEXISTS', slots, slot) == 0 and redis.call('HEXISTS', orphans, slot) == 0
end

if wanted > 0 and f[1] == 'up' and f[2] == generation then
  local base, pairs_new = tonumber(first), {}
  fuse = redis.call('HGET', breaker, 'state') or 'closed'
  if redis.call('HEXISTS', slots, dispatcher .. '/' .. first) == 1 then
    -- A repeat (its reply was lost) finds the same names there, and they are granted again.
    while granted < wanted and redis.call('HEXISTS', slots, dispatcher .. '/' .. integer(base + granted)) == 1 do
      granted = granted + 1
    end
  else
    local at, allowed = 0, wanted
    if fuse == 'open' or fuse == 'half-open' then
      local b = known_breaker()
      at = clock(now)
      local state = breaker_state(b, at)
      if state == 'half-open' then
        if fuse == 'open' then b, moved = breaker_half_open(b, at), 1 end
        local _, left = breaker_permits(b, at, free_again)
        allowed = math.min(wanted, left)
        at = integer(at + tonumber(b.lease))
      else
        allowed = 0
      end
      fuse = state
    elseif fuse == 'forced-open' then
      allowed = 0
    end
    granted = math.max(0, math.min(allowed, capacity - used))
    for i = 0, granted - 1 do
      pairs_new[2 * i + 1] = dispatcher .. '/' .. integer(base + i)
      pairs_new[2 * i + 2] = '1'
    end
    if granted > 0 then
      bulk('HSET', slots, pairs_new)
      if fuse == 'half-open' then
        for i = 0, granted - 1 do
          pairs_new[2 * i + 1] = 'p:' .. pairs_new[2 * i + 1]
          pairs_new[2 * i + 2] = at
        end
        bulk('HSET', breaker, pairs_new)
      end
    end
    used = used + granted
  end
end
return {f[1], tonumber(f[2]), granted, used, capacity, orphaned, fuse, moved}
