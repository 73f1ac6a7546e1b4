-- drop_dead: take dead letters away: replayed, or of no use any more.
-- KEYS: dead dead_at dead_classes
-- ARGV: ...
-- REST: task ids
-- RETURNS: how many there were
-- include: base
if #REST == 0 then return 0 end
bulk('ZREM', dead_at, REST)
local dropped = 0
for i = 1, #REST, 1000 do
  dropped = dropped + redis.call('HDEL', dead, unpack(REST, i, math.min(i + 999, #REST)))
end
if redis.call('EXISTS', dead) == 0 then redis.call('DEL', dead_classes) end
return dropped
