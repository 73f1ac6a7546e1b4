-- peek_lane: a read-ahead view of one lane that skips tombstones and settles what is past its time.
-- Needs: index; base, index, record.lua. on_expired(record, entry) settles one.
local function open_lane(field, class, level)
  return {field = field, key = lane_key(field), class = class, level = tonumber(level), buf = {}, at = 1,
    read = 0, chunk = 8, done = false, tombs = {}, expired = {}}
end

local function fill_lane(lane, now, on_expired)
  local records = redis.call('LRANGE', lane.key, lane.read, lane.read + lane.chunk - 1)
  if #records < lane.chunk then lane.done = true end
  local parsed, ids = {}, {}
  for i = 1, #records do
    parsed[i] = parse_record(records[i])
    ids[i] = parsed[i].id
  end
  local entries = hmget(index, ids)
  for i = 1, #records do
    local r, raw = parsed[i], lane.read + i
    local e = entries[i] and parse_index(entries[i])
    if not e or e.state ~= 'W' or e.seq ~= r.seq then
      lane.tombs[#lane.tombs + 1] = raw
    elseif r.start_by > 0 and r.start_by <= now then
      lane.expired[#lane.expired + 1] = raw
      on_expired(r, e)
    else
      lane.buf[#lane.buf + 1] = {r = r, e = e, raw = raw, record = records[i]}
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

-- Cuts off what was consumed and corrects the count of tombstones.
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
end

local function lane_keys(tenant, class)
  local keys = {}
  for level = 0, 3 do keys[level + 1] = lane_key(lane_field(tenant, class, level)) end
  return keys
end

-- Keeps or ends a tenant's place in a class's ready index, at its virtual time of now.
local function rekey_ready(tenant, class, vt)
  if redis.call('EXISTS', unpack(lane_keys(tenant, class))) == 0 then
    redis.call('ZREM', ready_key(class), tenant)
    for level = 0, 3 do redis.call('HDEL', seqs, lane_field(tenant, class, level)) end
  else
    redis.call('ZADD', ready_key(class), string.format('%.3f', vt), tenant)
  end
end
