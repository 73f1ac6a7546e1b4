-- mark_running: an instance took these tasks, and they still run.
-- KEYS: index
-- ARGV: dispatcher ...
-- REST: 2 per task: id, epoch
-- RETURNS: how many were marked
-- include: base index
local marked = 0
for i = 1, #REST, 2 do
  local entry = redis.call('HGET', index, REST[i])
  local e = entry and parse_index(entry)
  if e and e.state == 'C' and e.owner == dispatcher and e.epoch == tonumber(REST[i + 1]) then
    redis.call('HSET', index, REST[i],
      index_entry('R', e.epoch, e.seq, e.owner, e.tenant, e.class, e.level, e.digest, e.flags))
    marked = marked + 1
  end
end
return marked
