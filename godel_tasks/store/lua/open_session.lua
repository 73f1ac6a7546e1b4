-- open_session: make a session before its first task.
-- KEYS: index tenant
-- DERIVES: session behind members sessions pinned
-- ARGV: now name affinity ttl_ms labels
-- RETURNS: "created", "exists", "ended" (it is being ended) or "unknown" (no such tenant)
-- include: base pin session intake
local now_ms = clock(now)
if redis.call('HEXISTS', tenant, 'max_queue') == 0 then return 'unknown' end
local tenant_id, id = string.match(name, '^([^:]+):(.+)$')
local session = session_intake(tenant_id, now_ms)(id .. ' ' .. affinity .. ' ' .. ttl_ms)
if session.ended then return 'ended' end
if not session.fresh then return 'exists' end
create_session(name, affinity, ttl_ms, now_ms)
redis.call('HSET', session_key(name), 'labels', labels)
use_session(name, now_ms)
return 'created'
