-- sleep: be woken by the next submit, unless there is work already.
-- KEYS: sleepers waiting due gone
-- ARGV: dispatcher ignoring
-- RETURNS: {waiting (flat), next due in ms or ""}; asleep only when no class but the ignored waits
-- include: base
local flat = redis.call('HGETALL', waiting)
local work = false
for i = 1, #flat, 2 do
  if not string.find(ignoring, ',' .. flat[i] .. ',', 1, true) then work = true end
end
-- One that was reaped and does not know it yet would sleep there for ever.
local awake = work or redis.call('ZSCORE', gone, dispatcher)
redis.call(awake and 'SREM' or 'SADD', sleepers, dispatcher)
local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
return {flat, head[2] or ''}
