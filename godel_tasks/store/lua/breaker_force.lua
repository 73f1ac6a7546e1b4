-- breaker_force: a person holds a breaker open or closed, or gives it back to its own judgement
-- (closed, with nothing counted). What is forced outlives everything but the key.
-- KEYS: breaker
-- ARGV: now state who
-- RETURNS: {the state before, what breaker_look tells}; state is forced-open, forced-closed or auto
-- include: base breaker
local at, b = clock(now), known_breaker()
local before = breaker_state(b, at)
if state ~= 'auto' then
  b = breaker_enter({state = state, since = integer(at), by = who})
elseif b.by then
  b = breaker_enter({state = 'closed', since = integer(at)})
end
return {before, breaker_look(b, at)}
