-- swap_field: write a field of a hash, or drop it, if it still holds what the writer has read.
-- KEYS: fields
-- ARGV: field before after
-- before is "" for a field that is not there; after is "" to drop it
-- RETURNS: 1, or 0 when somebody else has changed it meanwhile
-- include: base
if (redis.call('HGET', fields, field) or '') ~= before then return 0 end
if after == '' then
  redis.call('HDEL', fields, field)
else
  redis.call('HSET', fields, field, after)
end
return 1
