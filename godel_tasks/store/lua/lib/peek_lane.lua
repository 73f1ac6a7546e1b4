-- peek_lane: a read-ahead view of one lane that skips tombstones and settles what is past its time.
-- Needs: index; base, index, record.lua. on_expired(id, entry) settles one.
local HEAD_PATTERN = '^(%S+) %S+ %S+ %d %d+ (%d+) (%d+) (%d+) '
local WAITING_PATTERN = '^W (%d+) (%d+) %- (.+) %S+$'

local function open_lane(field, level, chunk)
  return {field = field, key = lane_key(field), level = level, buf = {}, at = 1, read = 0,
    chunk = chunk, done = false, tombs = {}, expired = {}}
end

-- An item of `buf`: id, epoch, seq, "tenant class level digest", entry time, place in the lane, record.
local function fill_lane(lane, now, on_expired)
  local records = redis.call('LRANGE', lane.key, lane.read, lane.read + lane.chunk - 1)
  if #records < lane.chunk then lane.done = true end
  local ids, seqs_of, entry_times, starts = {}, {}, {}, {}
  for i = 1, #records do
    ids[i], seqs_of[i], entry_times[i], starts[i] = string.match(records[i], HEAD_PATTERN)
  end
  local entries = hmget(index, ids)
  for i = 1, #records do
    local raw, epoch, seq, rest = lane.read + i, nil, nil, nil
    if entries[i] then epoch, seq, rest = string.match(entries[i], WAITING_PATTERN) end
    if not epoch or seq ~= seqs_of[i] then
      lane.tombs[#lane.tombs + 1] = raw
    elseif starts[i] ~= '0' and tonumber(starts[i]) <= now then
      lane.expired[#lane.expired + 1] = raw
      on_expired(ids[i], parse_index(entries[i]))
    else
      lane.buf[#lane.buf + 1] = {id = ids[i], epoch = tonumber(epoch), seq = seq, rest = rest,
        entry = tonumber(entry_times[i]), raw = raw, record = records[i]}
    end
  end
  lane.read = lane.read + #records
  lane.chunk = math.min(lane.chunk * 2, 64)
end

local function head_of(lane, now, on_expired)
  while lane.at > #lane.buf do
    if lane.done then return nil end
    fill_lane(lane, now, on_expired)
  end
  return lane.buf[lane.at]
end

-- Cuts off what was consumed and corrects the count of tombstones. True when a task is left for sure.
local function trim_lane(lane)
  local head = lane.buf[lane.at]
  local consumed = head and head.raw - 1 or lane.read
  local change = 0
  for _, raw in ipairs(lane.tombs) do if raw <= consumed then change = change - 1 end end
  for _, raw in ipairs(lane.expired) do if raw > consumed then change = change + 1 end end
  if consumed > 0 then redis.call('LTRIM', lane.key, consumed, -1) end
  if change ~= 0 and redis.call('HINCRBY', tombs, lane.field, change) <= 0 then
    redis.call('HDEL', tombs, lane.field)
  end
  return head ~= nil
end

local function lane_fields(tenant, class)
  local base = tenant .. ':' .. class .. ':'
  return {base .. '0', base .. '1', base .. '2', base .. '3'}
end

local function lane_keys(tenant, class)
  local base = P .. 'lane:' .. tenant .. ':' .. class .. ':'
  return {base .. '0', base .. '1', base .. '2', base .. '3'}
end

-- Keeps or ends a tenant's place in a class's ready index, at its virtual time of now. `holds`: one of its lanes
-- is known not to be empty.
local function rekey_ready(tenant, class, vt, holds)
  if not holds and redis.call('EXISTS', unpack(lane_keys(tenant, class))) == 0 then
    redis.call('ZREM', ready_key(class), tenant)
    redis.call('HDEL', seqs, unpack(lane_fields(tenant, class)))
  else
    redis.call('ZADD', ready_key(class), string.format('%.3f', vt), tenant)
  end
end
