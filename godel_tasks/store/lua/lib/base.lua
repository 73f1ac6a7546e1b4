-- base: time, bulk calls, the cell's prefix, and the keys that are derived from it.
local P = string.match(KEYS[1], '^(.-}:)')

-- Redis's own time in ms, unless the caller (a simulation) gives one.
local function clock(arg)
  local given = tonumber(arg)
  if given and given > 0 then return given end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- One command over a long flat list, in chunks below unpack's limit; the last answer.
local function bulk(command, key, list)
  if #list <= 1000 then return #list > 0 and redis.call(command, key, unpack(list)) end
  local answer
  for i = 1, #list, 1000 do
    answer = redis.call(command, key, unpack(list, i, math.min(i + 999, #list)))
  end
  return answer
end

local function hmget(key, fields)
  if #fields <= 1000 then
    if #fields == 0 then return {} end
    return redis.call('HMGET', key, unpack(fields))
  end
  local out = {}
  for i = 1, #fields, 1000 do
    local part = redis.call('HMGET', key, unpack(fields, i, math.min(i + 999, #fields)))
    for j = 1, #part do out[#out + 1] = part[j] end
  end
  return out
end

-- About `limit` fields of a hash, flat; at least one while there is any. (A single HSCAN from 0 may
-- find nothing in a large hash: it looks where earlier rounds have taken all.)
local function some_of(key, limit)
  local rows, cursor = {}, '0'
  repeat
    local page = redis.call('HSCAN', key, cursor, 'COUNT', limit)
    cursor = page[1]
    for i = 1, #page[2] do rows[#rows + 1] = page[2][i] end
  until cursor == '0' or #rows >= 2 * tonumber(limit)
  return rows
end

local function integer(n) return string.format('%.0f', n) end

local function lane_field(tenant, class, level) return tenant .. ':' .. class .. ':' .. level end
local function lane_key(field) return P .. 'lane:' .. field end
local function ready_key(class) return P .. 'ready:' .. class end
local function tenant_key(tenant) return P .. 'tenant:' .. tenant end
local function held_key(dispatcher) return P .. 'held:' .. dispatcher end
local function outbox_key(dispatcher) return P .. 'outbox:' .. dispatcher end
local function cancels_key(dispatcher) return P .. 'cancels:' .. dispatcher end
