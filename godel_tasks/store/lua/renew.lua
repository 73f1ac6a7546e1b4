-- renew: keep a dispatcher's lease, and learn what changed: cancels, who is dead, what it holds.
-- Also the tick that notices a stall: when nobody ticked for a second (a stalled Redis, a frozen
-- machine), nobody may reap until one full lease later.
-- KEYS: leases gone meta held cancels outbox_shared
-- ARGV: now dispatcher lease_ms
-- RETURNS: {"stale"} or {"ok", now, held count, cancels (flat), dead dispatchers, shared outbox size}
-- include: base
local now_ms = clock(now)
if redis.call('ZSCORE', gone, dispatcher) then return {'stale'} end
local last = tonumber(redis.call('HGET', meta, 'tick') or '0')
if now_ms - last > 1000 then
  redis.call('HSET', meta, 'grace_until', integer(now_ms + tonumber(lease_ms)))
end
redis.call('HSET', meta, 'tick', integer(math.max(now_ms, last)))
redis.call('ZADD', leases, integer(now_ms + tonumber(lease_ms)), dispatcher)
return {'ok', integer(now_ms), redis.call('HLEN', held), redis.call('HGETALL', cancels),
  redis.call('ZRANGEBYSCORE', leases, '-inf', integer(now_ms)), redis.call('HLEN', outbox_shared)}
