-- put_tenant: create a tenant, or change some of its fields.
-- KEYS: tenants tenant meta
-- ARGV: tenant_id create ...
-- REST: pairs (field, value)
-- RETURNS: "created", "changed", "exists" or "unknown"
-- include: base
local exists = redis.call('SISMEMBER', tenants, tenant_id) == 1
if exists and create == 'new' then return 'exists' end
if not exists and create == 'change' then return 'unknown' end
if not exists then
  redis.call('SADD', tenants, tenant_id)
  redis.call('HSET', tenant, 'vt', redis.call('HGET', meta, 'floor') or '0', 'depth', 0, 'inflight', 0)
end
if #REST > 0 then redis.call('HSET', tenant, unpack(REST)) end
-- What its classes begin with: its pools, and its strategy if it has one of its own.
local place = redis.call('HMGET', tenant, 'pool', 'strategy')
local route = place[1] or ''
if place[2] and place[2] ~= '' then route = route .. '!' .. place[2] end
redis.call('HSET', tenant, 'route', route)
return exists and 'changed' or 'created'
