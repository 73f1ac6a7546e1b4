-- breaker: a circuit breaker, kept in one hash: state, since, until, opens (times in a row), why it
-- opened, permits and lease (settings of its half-open state), successes, by (who forced it),
-- window ("ms calls"), ring (letters of the last calls) or w:<n> (a tenth of the window: calls,
-- failures, slow), r:<reporter> and f:<reporter> (last heard of; last told of a failure),
-- p:<permit> (end of its lease). Its plain Python model is policy/breaker.py.

-- All that is known of it, by field.
local function known_breaker()
  local flat, b = redis.call('HGETALL', breaker), {}
  for i = 1, #flat, 2 do b[flat[i]] = flat[i + 1] end
  return b
end

-- What it is now: an open one whose time is up is half-open, whether anybody came by or not.
local function breaker_state(b, at)
  local state = b.state or 'closed'
  if state == 'open' and at >= tonumber(b['until']) then return 'half-open' end
  return state
end

-- A day after it was used last it may go; a forced one stays until it is lifted.
local function breaker_stays(b)
  if b.by then redis.call('PERSIST', breaker) else redis.call('PEXPIRE', breaker, 86400000) end
end

-- Into another state: `fields` are what is kept in it.
local function breaker_enter(fields)
  local flat = {}
  for field, value in pairs(fields) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  redis.call('DEL', breaker)
  redis.call('HSET', breaker, unpack(flat))
  breaker_stays(fields)
  return fields
end

local function breaker_half_open(b, at)
  return breaker_enter({state = 'half-open', since = integer(at), ['until'] = b['until'], opens = b.opens,
    why = b.why, window = b.window, permits = b.permits, lease = b.lease, successes = '0'})
end

-- What it guards has started anew: one that was open is probed at once (how long it will be open the
-- next time is kept), and the probes of before are over.
local function breaker_probe_anew(at)
  local state = redis.call('HGET', breaker, 'state')
  if state == 'open' or state == 'half-open' then breaker_half_open(known_breaker(), at) end
end

-- Calls, failures, slow ones in the window; reporters of them, and reporters of anything.
local function breaker_counts(b, at)
  local width, last_calls = string.match(b.window or '0 0', '(%d+) (%d+)')
  width, last_calls = tonumber(width), tonumber(last_calls)
  local calls, failures, slow, failing, seen = 0, 0, 0, 0, 0
  if last_calls > 0 then
    local ring = b.ring or ''
    calls = #ring
    failures = select(2, string.gsub(ring, '[fx]', ''))
    slow = select(2, string.gsub(ring, '[sx]', ''))
  end
  local oldest = math.floor(at / math.ceil(width / 10)) - 10
  for field, value in pairs(b) do
    local kind, name = string.match(field, '^([wrf]):(.*)$')
    if kind == 'w' and last_calls == 0 and tonumber(name) > oldest then
      local c, f, s = string.match(value, '(%d+) (%d+) (%d+)')
      calls, failures, slow = calls + c, failures + f, slow + s
    elseif kind == 'f' and tonumber(value) > at - width then
      failing = failing + 1
    elseif kind == 'r' and tonumber(value) > at - width then
      seen = seen + 1
    end
  end
  return calls, failures, slow, failing, seen
end

-- Permits that are held, and how many more may be had. `lapsed` says of one whether its holder is
-- gone, once its lease is past; it is taken out then.
local function breaker_permits(b, at, lapsed)
  local held, gone = 0, {}
  for field, value in pairs(b) do
    if string.sub(field, 1, 2) == 'p:' then
      if tonumber(value) <= at and lapsed(string.sub(field, 3)) then
        gone[#gone + 1] = field
      else
        held = held + 1
      end
    end
  end
  bulk('HDEL', breaker, gone)
  for i = 1, #gone do b[gone[i]] = nil end
  return held, math.max(0, tonumber(b.permits) - held - tonumber(b.successes or '0'))
end

local function breaker_over() return true end

-- state, now, since, until, opens, calls, failures, slow, reporters, window in ms and in calls,
-- permits left, successes, by
local function breaker_look(b, at)
  local state = breaker_state(b, at)
  local calls, failures, slow, failing
  if state == 'closed' then
    calls, failures, slow, failing = breaker_counts(b, at)
  else
    calls, failures, slow, failing = string.match(b.why or '0 0 0 0', '(%d+) (%d+) (%d+) (%d+)')
  end
  local left, width, last_calls = 0, string.match(b.window or '0 0', '(%d+) (%d+)')
  if state == 'half-open' then
    local held = 0
    for field, value in pairs(b) do
      if string.sub(field, 1, 2) == 'p:' and tonumber(value) > at then held = held + 1 end
    end
    left = math.max(0, tonumber(b.permits) - held - tonumber(b.successes or '0'))
  end
  return {state, integer(at), b.since or '0', b['until'] or '0', b.opens or '0', calls, failures, slow, failing,
    width, last_calls, left, b.successes or '0', b.by or ''}
end
