-- lead_scaling: be the one who decides about scaling, or go on being it. One at a time; a new leader
-- gets a higher token, by which its writes are told from those of the one before.
-- KEYS: scaling_leader
-- ARGV: now owner lease_ms
-- RETURNS: {token, or 0 when another one leads; Redis's time in ms}
-- include: base
local now_ms = clock(now)
local f = redis.call('HMGET', scaling_leader, 'owner', 'until_ms', 'token')
local over = not f[2] or tonumber(f[2]) <= now_ms
if not over and f[1] ~= owner then return {0, integer(now_ms)} end
local token = tonumber(f[3] or 0)
if over then token = token + 1 end
redis.call('HSET', scaling_leader, 'owner', owner, 'until_ms', integer(now_ms + tonumber(lease_ms)),
  'token', integer(token))
return {token, integer(now_ms)}
