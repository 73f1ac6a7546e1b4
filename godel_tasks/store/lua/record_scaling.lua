-- record_scaling: what became of a pool's scaling, written by the leader in force only.
-- KEYS: scaling_leader scaling_state scaling_history
-- ARGV: token pool state length kept_ms ...
-- state is "" to drop it; the history keeps about `length` entries for `kept_ms` after the last one
-- REST: entries of the history
-- RETURNS: 1, or 0 when another leader is in force and nothing was written
-- include: base
if redis.call('HGET', scaling_leader, 'token') ~= token then return 0 end
if state == '' then
  redis.call('HDEL', scaling_state, pool)
else
  redis.call('HSET', scaling_state, pool, state)
end
for _, entry in ipairs(REST) do
  redis.call('XADD', scaling_history, 'MAXLEN', '~', length, '*', 'entry', entry)
end
if #REST > 0 then redis.call('PEXPIRE', scaling_history, kept_ms) end
return 1
