-- condemn: the first step of taking a dead dispatcher's tasks over. From here on it can claim and
-- renew nothing; what it holds is read, so that the slots of its tasks can be kept in use.
-- KEYS: leases gone meta held_dead
-- ARGV: now reaper dead
-- RETURNS: {"grace"} | {"alive"} | {"stale"} | {"done"} | {"ok", held values}
-- include: base
local now_ms = clock(now)
if now_ms < tonumber(redis.call('HGET', meta, 'grace_until') or '0') then return {'grace'} end
local own = redis.call('ZSCORE', leases, reaper)
if not own or tonumber(own) <= now_ms then return {'stale'} end
local lease = redis.call('ZSCORE', leases, dead)
if not lease then return {'done'} end
if tonumber(lease) > now_ms then return {'alive'} end
redis.call('ZADD', gone, integer(now_ms), dead)
redis.call('ZREMRANGEBYSCORE', gone, '-inf', integer(now_ms - 86400000))
return {'ok', redis.call('HVALS', held_dead)}
