-- publish: results in Celery's format, and the message that wakes who waits for them.
-- KEYS: ... one per result
-- ARGV: expires_s ...
-- REST: one encoded result per key
-- RETURNS: how many
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], REST[i], 'EX', expires_s)
  redis.call('PUBLISH', KEYS[i], REST[i])
end
return #KEYS
