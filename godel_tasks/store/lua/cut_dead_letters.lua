-- cut_dead_letters: drop dead letters that were buried before a time.
-- KEYS: dead dead_at dead_classes
-- ARGV: before_ms limit
-- RETURNS: how many
-- include: base
local ids = redis.call('ZRANGEBYSCORE', dead_at, '-inf', before_ms, 'LIMIT', 0, limit)
if #ids > 0 then
  bulk('HDEL', dead, ids)
  bulk('ZREM', dead_at, ids)
  if redis.call('EXISTS', dead) == 0 then redis.call('DEL', dead_classes) end
end
return #ids
