-- leave: a dispatcher ends in good order. What it still holds is taken over at once by the next
-- reaper: its lease is over now, and its end is no stall.
-- KEYS: leases sleepers held outbox batches settles cancels
-- ARGV: dispatcher
-- RETURNS: how many tasks and outbox entries it leaves behind
-- include: base
redis.call('SREM', sleepers, dispatcher)
local left = redis.call('HLEN', held) + redis.call('HLEN', outbox)
if left == 0 then
  redis.call('ZREM', leases, dispatcher)
  redis.call('HDEL', batches, dispatcher)
  redis.call('HDEL', settles, dispatcher)
  redis.call('DEL', cancels)
else
  redis.call('ZADD', leases, 'XX', 1, dispatcher)
end
return left
