-- keep_decision: write down how a tick was planned. The newest are kept.
-- KEYS: decisions
-- ARGV: now dispatcher first last routed kept
-- RETURNS: the entry's id
-- include: base
local ms, seq = clock(now), 0
local newest = redis.call('XREVRANGE', decisions, '+', '-', 'COUNT', 1)
if newest[1] then
  local last_ms, last_seq = string.match(newest[1][1], '^(%d+)-(%d+)$')
  if tonumber(last_ms) >= ms then ms, seq = tonumber(last_ms), tonumber(last_seq) + 1 end
end
return redis.call('XADD', decisions, 'MAXLEN', '~', kept, integer(ms) .. '-' .. integer(seq),
  'dispatcher', dispatcher, 'first', first, 'last', last, 'routed', routed)
