-- probed: schedule the next probes of instances that were taken by `claim_probes`; one whose hold is
-- over, and that somebody else took, is left alone.
-- KEYS: probes
-- ARGV: now held_until ...
-- REST: pairs (id, in how many ms)
-- RETURNS: how many were scheduled
-- include: base
local now_ms, done = clock(now), 0
for i = 1, #REST, 2 do
  if redis.call('ZSCORE', probes, REST[i]) == held_until then
    redis.call('ZADD', probes, integer(now_ms + tonumber(REST[i + 1])), REST[i])
    done = done + 1
  end
end
return done
