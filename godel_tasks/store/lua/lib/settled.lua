-- settled: ids after the end, in rotating buckets. All ids for 10 to 20 minutes; ids that a caller
-- chose (their digest is not '-') for 24 to 48 hours. Value: "letter digest".
local SHORT_MS, LONG_MS = 600000, 86400000

local function short_bucket(now, back) return P .. 'settled:' .. integer(math.floor(now / SHORT_MS) - back) end
local function long_bucket(now, back) return P .. 'known:' .. integer(math.floor(now / LONG_MS) - back) end

local function remember(now, pairs_short, pairs_long)
  if #pairs_short > 0 then
    local key = short_bucket(now, 0)
    bulk('HSET', key, pairs_short)
    redis.call('PEXPIRE', key, 2 * SHORT_MS)
  end
  if #pairs_long > 0 then
    local key = long_bucket(now, 0)
    bulk('HSET', key, pairs_long)
    redis.call('PEXPIRE', key, 2 * LONG_MS)
  end
end

-- For each id: false, or "letter digest".
local function recall(now, ids)
  local found = {}
  for _, key in ipairs({short_bucket(now, 0), short_bucket(now, 1), long_bucket(now, 0), long_bucket(now, 1)}) do
    local part = hmget(key, ids)
    for i = 1, #ids do found[i] = found[i] or part[i] end
  end
  return found
end
