-- claim: a fair batch for the slots held. The tenant with the lowest virtual time goes next; among
-- the classes that still have a slot its highest level (aged) goes first; lanes are FIFO.
-- KEYS: index held batches leases gone classes live waiting meta due wake sleepers parked seqs tombs
-- DERIVES: lane ready tenant outbox settled known sessioned session behind members sessions pinned moved unroutable
-- ARGV: now dispatcher batch max_take ageing_ms max_lag n_instances ...
-- REST: 3 per instance (id#generation, number of its first slot, slots), n_classes, 2 per class (class, "1,3,2")
-- RETURNS: {"stale"} or {"ok", now, next due in ms or "", waiting (flat), held values}
-- include: base index record heap live pin lane wake session settled finish peek_lane
local now_ms = clock(now)
if not redis.call('ZSCORE', leases, dispatcher) or redis.call('ZSCORE', gone, dispatcher) then return {'stale'} end
redis.call('SREM', sleepers, dispatcher)

local function answer(values)
  local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
  return {'ok', integer(now_ms), head[2] or '', redis.call('HGETALL', waiting), values}
end

-- A repeat (its reply was lost) is answered by re-reading what that batch took.
if tonumber(redis.call('HGET', batches, dispatcher) or '0') >= tonumber(batch) then
  local all, values = redis.call('HGETALL', held), {}
  for i = 2, #all, 2 do
    if string.match(all[i], '^(%d+) ') == batch then values[#values + 1] = all[i] end
  end
  return answer(values)
end
redis.call('HSET', batches, dispatcher, batch)

local instances, supply, at = {}, 0, 1
for i = 1, tonumber(n_instances) do
  instances[i] = {id = REST[at], name = ' ' .. REST[at] .. ' ' .. dispatcher .. '/', slot = tonumber(REST[at + 1]),
    left = tonumber(REST[at + 2])}
  supply = supply + instances[i].left
  at = at + 3
end
local wanted = {}
local n_classes = tonumber(REST[at])
for i = 1, n_classes do
  local preference = {}
  for number in string.gmatch(REST[at + 2 * i], '%d+') do preference[#preference + 1] = tonumber(number) end
  wanted[i] = {name = REST[at + 2 * i - 1], order = preference, pos = 1, read = 0, bound = -math.huge}
  wanted[i].sessions = of_session(wanted[i].name)
end

local function slot_of(class)
  while class.pos <= #class.order do
    local instance = instances[class.order[class.pos]]
    if instance.left > 0 then return instance end
    class.pos = class.pos + 1
  end
  return nil
end

local floor = tonumber(redis.call('HGET', meta, 'floor') or '0')
local now_text = integer(now_ms)
local tenants, heap, loaded = {}, {}, 0
local lag = tonumber(max_lag)

-- The next tenants of a class's ready index. Their scores are lower bounds of their virtual times.
local CHUNK = 16
local function load_tenants(class)
  local rows = redis.call('ZRANGE', ready_key(class.name), class.read, class.read + CHUNK - 1, 'WITHSCORES')
  class.read = class.read + #rows / 2
  class.bound = #rows < 2 * CHUNK and math.huge or tonumber(rows[#rows])
  for i = 1, #rows, 2 do
    local name = rows[i]
    local t = tenants[name]
    if not t then
      local f = redis.call('HMGET', tenant_key(name), 'vt', 'weight', 'avg', 'depth', 'inflight')
      t = {name = name, vt = math.max(tonumber(f[1] or '0'), floor - lag), weight = tonumber(f[2] or '1'),
        estimate = tonumber(f[3] or '100'), classes = {}, lanes = {}, taken = 0, expired = 0,
        depth = tonumber(f[4] or '0'), inflight = tonumber(f[5] or '0')}
      t.estimated = ' ' .. t.estimate .. ' ' .. now_text .. '\n'
      loaded = loaded + 1
      tenants[name] = t
    end
    t.classes[#t.classes + 1] = class
    if not t.queued then
      t.queued = true
      heap_push(heap, t)
    end
  end
end

local function on_expired(id, e)
  finish(now_ms, id, 'X', e, '-', 'it did not start in time', 'expired')
  redis.call('ZREM', due, 'x:' .. id)
  if redis.call('HINCRBY', waiting, e.class, -1) <= 0 then redis.call('HDEL', waiting, e.class) end
  tenants[e.tenant].expired = tenants[e.tenant].expired + 1
end

local limit = math.min(tonumber(max_take), supply)

-- A tenant's lanes of one class that have ever held something; read ahead by its share of the batch.
local function lanes_of(t, class)
  local lanes = t.lanes[class.name]
  if lanes then return lanes end
  lanes = {}
  local fields = lane_fields(t.name, class.name)
  local known = hmget(seqs, fields)
  local chunk = math.min(64, math.floor(limit / loaded) + 1)
  for level = 0, 3 do
    if known[level + 1] then lanes[#lanes + 1] = open_lane(fields[level + 1], level, chunk) end
  end
  t.lanes[class.name] = lanes
  return lanes
end

local function best_lane(t)
  if #t.classes == 1 and slot_of(t.classes[1]) then
    -- As nearly always: one class, one level, nothing to choose from.
    local lanes = lanes_of(t, t.classes[1])
    if #lanes == 1 then return head_of(lanes[1], now_ms, on_expired) and lanes[1], t.classes[1] end
  end
  local best, best_level, best_entry, best_class
  for _, class in ipairs(t.classes) do
    if slot_of(class) then
      for _, lane in ipairs(lanes_of(t, class)) do
        local head = head_of(lane, now_ms, on_expired)
        if head then
          local aged = lane.level - math.floor((now_ms - head.entry) / tonumber(ageing_ms))
          if not best or aged < best_level or (aged == best_level and head.entry < best_entry) then
            best, best_level, best_entry, best_class = lane, aged, head.entry, class
          end
        end
      end
    end
  end
  return best, best_class
end

local values, held_pairs, index_pairs, class_taken, bound = {}, {}, {}, {}, {}
while #values < limit do
  for _, class in ipairs(wanted) do
    if slot_of(class) then
      while class.bound < math.huge and (#heap == 0 or heap[1].vt > class.bound) do load_tenants(class) end
    end
  end
  if #heap == 0 then break end
  local t = heap[1]
  local lane, class = best_lane(t)
  if lane then
    local item, instance = lane.buf[lane.at], slot_of(class)
    lane.at = lane.at + 1
    local epoch = item.epoch + 1
    local value = batch .. ' ' .. epoch .. instance.name .. instance.slot .. t.estimated .. item.record
    instance.slot, instance.left = instance.slot + 1, instance.left - 1
    local n = #values + 1
    values[n] = value
    held_pairs[2 * n - 1], held_pairs[2 * n] = item.id, value
    index_pairs[2 * n - 1] = item.id
    index_pairs[2 * n] = 'C ' .. epoch .. ' ' .. item.seq .. ' ' .. dispatcher .. ' ' .. item.rest .. ' -'
    class_taken[class.name] = (class_taken[class.name] or 0) + 1
    if class.sessions then bound[#bound + 1] = {item.id, instance.id} end
    t.taken = t.taken + 1
    floor = math.max(floor, t.vt)
    t.vt = t.vt + t.estimate / t.weight
    heap_sink(heap)
  else
    t.queued = false
    heap_drop(heap)
  end
end

if #values > 0 then
  bulk('HSET', held, held_pairs)
  bulk('HSET', index, index_pairs)
  redis.call('HSET', meta, 'floor', string.format('%.3f', floor))
  for _, b in ipairs(bound) do bind(now_ms, b[1], b[2]) end
  for class, count in pairs(class_taken) do
    if redis.call('HINCRBY', waiting, class, -count) <= 0 then redis.call('HDEL', waiting, class) end
  end
end
for _, t in pairs(tenants) do
  for _, class in ipairs(t.classes) do
    local lanes = t.lanes[class.name]
    if lanes then
      local holds = false
      for _, lane in ipairs(lanes) do holds = trim_lane(lane) or holds end
      rekey_ready(t.name, class.name, t.vt, holds)
    end
  end
  if t.taken + t.expired > 0 then
    redis.call('HSET', tenant_key(t.name), 'vt', string.format('%.3f', t.vt),
      'depth', integer(t.depth - t.taken - t.expired), 'inflight', integer(t.inflight + t.taken))
  end
end
return answer(values)
