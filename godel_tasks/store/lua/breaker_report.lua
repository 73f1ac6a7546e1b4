-- breaker_report: how calls behind a breaker ended; may open or close it. A half-open one counts
-- only its probes, an open one nothing: what else ends now was begun before.
-- KEYS: breaker
-- ARGV: now reporter alive quorum window_ms window_calls min_calls failure_rate slow_rate open_ms open_factor max_open_ms permits lease_ms threshold outcomes ...
-- REST: pairs (permit, outcome) of probes; outcomes are o (went well), s (slow), f (failed),
-- x (failed slowly), - (not made: the permit is given back)
-- RETURNS: {the state before, what breaker_look tells}
-- include: base breaker
local at, b = clock(now), known_breaker()
local before = breaker_state(b, at)

local function open(calls, failures, slow, failing)
  local opens = tonumber(b.opens or '0')
  -- What was well for as long as it may be open at most is no relapse.
  if before == 'closed' and at - tonumber(b.since or '0') >= tonumber(max_open_ms) then opens = 0 end
  local lasts = math.min(tonumber(max_open_ms), math.floor(tonumber(open_ms) * tonumber(open_factor) ^ opens))
  b = breaker_enter({state = 'open', since = integer(at), opens = integer(opens + 1),
    ['until'] = integer(math.max(tonumber(b['until'] or '0'), at + lasts)),
    why = integer(calls) .. ' ' .. integer(failures) .. ' ' .. integer(slow) .. ' ' .. integer(failing),
    window = window_ms .. ' ' .. window_calls, permits = permits, lease = lease_ms})
end

if b.state == 'half-open' then
  local probes, failed, slow, over = 0, 0, 0, {}
  for i = 1, #REST, 2 do
    local field, outcome = 'p:' .. REST[i], REST[i + 1]
    if b[field] then
      b[field] = nil
      over[#over + 1] = field
      if outcome ~= '-' then probes = probes + 1 end
      if outcome == 'f' or outcome == 'x' then failed = failed + 1 end
      if outcome == 's' or outcome == 'x' then slow = slow + 1 end
    end
  end
  bulk('HDEL', breaker, over)
  local well = tonumber(b.successes) + probes
  if failed + slow > 0 then
    open(well, failed, slow, 1)
  elseif well >= tonumber(threshold) then
    b = breaker_enter({state = 'closed', since = integer(at), ['until'] = b['until'], opens = b.opens})
  elseif #over > 0 then
    b.successes = integer(well)
    redis.call('HSET', breaker, 'successes', b.successes)
    breaker_stays(b)
  end
elseif (b.state or 'closed') == 'closed' then
  local letters = outcomes
  for i = 2, #REST, 2 do letters = letters .. REST[i] end
  letters = string.gsub(letters, '-', '')
  if #letters > 0 then
    local kept, old = window_ms .. ' ' .. window_calls, {}
    local width = math.ceil(tonumber(window_ms) / 10)
    local bucket, horizon = math.floor(at / width), at - tonumber(window_ms)
    for field, value in pairs(b) do
      local kind, name = string.match(field, '^([wrf]):(.*)$')
      local is_old = kind == 'w' and tonumber(name) <= bucket - 10 or kind ~= 'w' and kind and tonumber(value) <= horizon
      if is_old or (b.window ~= kept and (kind == 'w' or field == 'ring')) then
        old[#old + 1] = field
        b[field] = nil
      end
    end
    bulk('HDEL', breaker, old)
    b.window = kept
    local fresh = {'window', kept, 'r:' .. reporter, integer(at)}
    b['r:' .. reporter] = integer(at)
    local failed = select(2, string.gsub(letters, '[fx]', ''))
    local slowly = select(2, string.gsub(letters, '[sx]', ''))
    if failed + slowly > 0 then
      b['f:' .. reporter] = integer(at)
      fresh[#fresh + 1] = 'f:' .. reporter
      fresh[#fresh + 1] = integer(at)
    end
    local field
    if tonumber(window_calls) > 0 then
      field = 'ring'
      b.ring = string.sub((b.ring or '') .. letters, -tonumber(window_calls))
    else
      field = 'w:' .. integer(bucket)
      local c, f, s = string.match(b[field] or '0 0 0', '(%d+) (%d+) (%d+)')
      b[field] = integer(c + #letters) .. ' ' .. integer(f + failed) .. ' ' .. integer(s + slowly)
    end
    fresh[#fresh + 1] = field
    fresh[#fresh + 1] = b[field]
    redis.call('HSET', breaker, unpack(fresh))
    breaker_stays(b)
    local calls, failures, slow, failing, seen = breaker_counts(b, at)
    local there = tonumber(alive) > 0 and tonumber(alive) or seen
    if calls >= tonumber(min_calls) and failing >= math.max(1, math.min(tonumber(quorum), there))
      and (failures >= tonumber(failure_rate) * calls or slow >= tonumber(slow_rate) * calls) then
      open(calls, failures, slow, failing)
    end
  end
end
return {before, breaker_look(b, at)}
