-- take_outbox: make another's unpublished entries one's own.
-- KEYS: outbox_from outbox_own
-- ARGV: limit
-- RETURNS: flat id, entry
-- include: base
local rows = redis.call('HSCAN', outbox_from, '0', 'COUNT', limit)[2]
for i = 1, #rows, 2 do
  redis.call('HSET', outbox_own, rows[i], rows[i + 1])
  redis.call('HDEL', outbox_from, rows[i])
end
return rows
