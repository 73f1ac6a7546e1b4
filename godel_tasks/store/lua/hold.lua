-- hold: take, or renew, a lease that one holder has at a time.
-- KEYS: lease
-- ARGV: holder lease_ms
-- lease_ms 0 gives it back
-- RETURNS: 1 when the caller holds it (or has given it back), 0 when somebody else does
-- include: base
local by = redis.call('GET', lease)
if by and by ~= holder then return 0 end
if lease_ms == '0' then
  redis.call('DEL', lease)
else
  redis.call('SET', lease, holder, 'PX', lease_ms)
end
return 1
