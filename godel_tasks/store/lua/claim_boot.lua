-- claim_boot: a dispatcher wants to make an instance that started anew ready for work, alone. Again
-- and again while it is at it.
-- KEYS: info
-- ARGV: now generation dispatcher hold_ms
-- RETURNS: "ok", "busy" (another dispatcher is at it) or "stale" (another generation is in force)
-- include: base
if redis.call('HGET', info, 'generation') ~= generation then return 'stale' end
local now_ms = clock(now)
local who = redis.call('HMGET', info, 'attendant', 'attendant_until')
if who[1] and who[1] ~= dispatcher and tonumber(who[2]) > now_ms then return 'busy' end
redis.call('HSET', info, 'attendant', dispatcher, 'attendant_until', integer(now_ms + tonumber(hold_ms)))
return 'ok'
