-- orphan_slots: slots whose run may go on, though nobody waits for it there, stay used until the
-- instance confirms its end. After a dispatcher's death its other slots are freed.
-- KEYS: slots orphans
-- ARGV: owner free_rest ...
-- REST: pairs (slot name, "<task_id>:<attempt>")
-- RETURNS: {orphaned, freed}
-- include: base
local orphaned, free = 0, {}
for i = 1, #REST, 2 do
  if redis.call('HDEL', slots, REST[i]) == 1 then
    redis.call('HSET', orphans, REST[i], REST[i + 1])
    orphaned = orphaned + 1
  end
end
if free_rest == '1' then
  local prefix = owner .. '/'
  for _, name in ipairs(redis.call('HKEYS', slots)) do
    if string.sub(name, 1, #prefix) == prefix then free[#free + 1] = name end
  end
  if #free > 0 then bulk('HDEL', slots, free) end
end
return {orphaned, #free}
