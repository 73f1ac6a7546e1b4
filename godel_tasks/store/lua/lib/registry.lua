-- registry: the stream of the registry's events, and the index of what instances offer.
local function tell(events, event, id, generation, reason)
  redis.call('XADD', events, 'MAXLEN', '~', '10000', '*', 'event', event, 'instance', id,
    'generation', generation or '', 'reason', reason)
end

local function having_key(label) return P .. 'having:' .. label end

-- Take an instance out of the index. `labels` remembers where it is in.
local function unlabel(labels, id)
  local old = redis.call('HGET', labels, id)
  if not old then return end
  for label in string.gmatch(old, '[^\n]+') do redis.call('SREM', having_key(label), id) end
  redis.call('HDEL', labels, id)
end

local function label_as(labels, id, list)
  for _, label in ipairs(list) do redis.call('SADD', having_key(label), id) end
  redis.call('HSET', labels, id, table.concat(list, '\n'))
end
