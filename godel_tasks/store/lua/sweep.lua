-- sweep: rewrite lanes that are mostly tombstones, and drop the ones that hold nothing else.
-- KEYS: index tombs seqs waiting
-- DERIVES: lane ready
-- ARGV: limit
-- RETURNS: how many tombstones were removed
-- include: base index record
local removed = 0
local flat = redis.call('HGETALL', tombs)
for i = 1, #flat, 2 do
  local field, count = flat[i], tonumber(flat[i + 1])
  local key, tenant, class = lane_key(field), string.match(field, '^([^:]+):([^:]+):%d$')
  local length = redis.call('LLEN', key)
  if removed < tonumber(limit) and (count * 2 >= length or not redis.call('HGET', waiting, class)) then
    local kept = {}
    for _, record in ipairs(redis.call('LRANGE', key, 0, -1)) do
      local r = parse_record(record)
      local entry = redis.call('HGET', index, r.id)
      local e = entry and parse_index(entry)
      if e and e.state == 'W' and e.seq == r.seq then kept[#kept + 1] = record else removed = removed + 1 end
    end
    redis.call('DEL', key)
    if #kept > 0 then bulk('RPUSH', key, kept) end
    redis.call('HDEL', tombs, field)
    local alive = 0
    for level = 0, 3 do alive = alive + redis.call('EXISTS', lane_key(lane_field(tenant, class, level))) end
    if alive == 0 then
      redis.call('ZREM', ready_key(class), tenant)
      for level = 0, 3 do redis.call('HDEL', seqs, lane_field(tenant, class, level)) end
    end
  end
end
return removed
