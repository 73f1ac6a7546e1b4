-- take_outbox: make another's unpublished entries one's own.
-- KEYS: outbox_from outbox_own gone leases
-- ARGV: dispatcher limit leased
-- leased: "1" of a dispatcher; "0" of the control job, whose outbox every run of it looks into
-- RETURNS: flat id, entry
-- include: base
-- One that was reaped and does not know it yet, or that has left before this arrived, must not: nobody looks
-- into its outbox any more.
if redis.call('ZSCORE', gone, dispatcher) then return {} end
if leased == '1' and not redis.call('ZSCORE', leases, dispatcher) then return {} end
if outbox_from == outbox_own then return redis.call('HGETALL', outbox_own) end
local rows = some_of(outbox_from, limit)
for i = 1, #rows, 2 do
  redis.call('HSET', outbox_own, rows[i], rows[i + 1])
  redis.call('HDEL', outbox_from, rows[i])
end
return rows
