-- breaker_acquire: may these calls begin? A half-open one gives permits, each with a lease.
-- KEYS: breaker
-- ARGV: now ...
-- REST: names of the permits wanted; one that is held is granted again (a lost reply)
-- RETURNS: {how many may begin (the first ones), the state before, what breaker_look tells}
-- include: base breaker
local at, b = clock(now), known_breaker()
local before, granted = b.state or 'closed', 0
local state = breaker_state(b, at)
if state == 'closed' or state == 'forced-closed' then
  granted = #REST
elseif state == 'half-open' then
  if before == 'open' then b = breaker_half_open(b, at) end
  local _, left = breaker_permits(b, at, breaker_over)
  local fresh, ends = {}, integer(at + tonumber(b.lease))
  for i = 1, #REST do
    local field = 'p:' .. REST[i]
    if not b[field] then
      if left == 0 then break end
      left = left - 1
    end
    granted = granted + 1
    b[field] = ends
    fresh[2 * i - 1], fresh[2 * i] = field, ends
  end
  if granted > 0 then
    bulk('HSET', breaker, fresh)
    breaker_stays(b)
  end
end
return {granted, before, breaker_look(b, at)}
