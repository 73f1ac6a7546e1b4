-- take_outbox: make another's unpublished entries one's own.
-- KEYS: outbox_from outbox_own gone
-- ARGV: dispatcher limit
-- RETURNS: flat id, entry
-- include: base
-- One that was reaped and does not know it yet must not: nobody looks into its outbox any more.
if redis.call('ZSCORE', gone, dispatcher) then return {} end
if outbox_from == outbox_own then return redis.call('HGETALL', outbox_own) end
local rows = some_of(outbox_from, limit)
for i = 1, #rows, 2 do
  redis.call('HSET', outbox_own, rows[i], rows[i + 1])
  redis.call('HDEL', outbox_from, rows[i])
end
return rows
