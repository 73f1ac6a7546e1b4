-- reap: take over what a condemned dispatcher held, the epoch raised, the attempt kept. Its lease
-- goes last, with `finish`, when nothing is left: until then any other reaper may start over.
-- KEYS: index leases gone held_dead held_own batches settles sleepers outbox_dead cancels_dead cancels_own
-- ARGV: now reaper dead limit finish
-- RETURNS: {"stale"} | {"done"} | {"ok", held values taken over}
-- include: base index record
local now_ms = clock(now)
local own = redis.call('ZSCORE', leases, reaper)
if not own or tonumber(own) <= now_ms then return {'stale'} end
if not redis.call('ZSCORE', gone, dead) or not redis.call('ZSCORE', leases, dead) then return {'done'} end

local rows = some_of(held_dead, limit)
local values = {}
for i = 1, #rows, 2 do
  local id, value = rows[i], rows[i + 1]
  local entry = redis.call('HGET', index, id)
  local e = entry and parse_index(entry)
  if e and e.owner == dead then
    local epoch = e.epoch + 1
    local _, _, instance, slot, estimate, claimed = string.find(value, '^%d+ %d+ (%S+) (%S+) (%S+) (%S+)\n')
    local taken = '0 ' .. epoch .. ' ' .. instance .. ' ' .. slot .. ' ' .. estimate .. ' ' .. claimed
      .. '\n' .. record_of_held(value)
    redis.call('HSET', held_own, id, taken)
    redis.call('HSET', index, id, index_entry(e.state, epoch, e.seq, reaper, e.tenant, e.class, e.level, e.digest, e.flags))
    if e.flags == 'c' then redis.call('HSET', cancels_own, id, redis.call('HGET', cancels_dead, id) or 'somebody') end
    values[#values + 1] = taken
  end
  redis.call('HDEL', held_dead, id)
end
if finish == '1' and #rows == 0 and redis.call('HLEN', outbox_dead) == 0 then
  redis.call('ZREM', leases, dead)
  redis.call('HDEL', batches, dead)
  redis.call('HDEL', settles, dead)
  redis.call('SREM', sleepers, dead)
  redis.call('DEL', cancels_dead)
  return {'done'}
end
return {'ok', values}
