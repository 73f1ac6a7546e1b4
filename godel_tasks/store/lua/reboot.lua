-- reboot: an instance that does not register by itself has started anew, and is ready: a new
-- generation. Whatever ran under the old one is over, so its slots are free.
-- KEYS: info slots orphans breaker
-- ARGV: now generation dispatcher boot_id aborted
-- RETURNS: the new generation, or 0 when another one is in force or another dispatcher is at it
-- include: base breaker
local known = redis.call('HMGET', info, 'generation', 'attendant')
if known[1] ~= generation or known[2] ~= dispatcher then return 0 end
redis.call('DEL', slots, orphans)
breaker_probe_anew(clock(now))
redis.call('HDEL', info, 'attendant', 'attendant_until')
redis.call('HDEL', info, 'health', 'health_reason', 'health_told', 'latency_ms', 'components', 'probed')
local status = redis.call('HEXISTS', info, 'drain') == 1 and 'draining' or 'up'
redis.call('HSET', info, 'boot_id', boot_id, 'status', status, 'registered_ms', integer(clock(now)))
redis.call('HINCRBY', info, 'strays_aborted', aborted)
return redis.call('HINCRBY', info, 'generation', 1)
