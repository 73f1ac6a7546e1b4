-- submit: admit tasks of one tenant, record them, put them in lanes, wake a dispatcher.
-- KEYS: index tenant classes live waiting meta due wake sleepers parked seqs
-- DERIVES: lane ready settled known canvas sessioned session behind members sessions pinned
-- ARGV: now tenant_id check_settled n_specs n_follow n_sessions ...
-- REST: n_specs pairs (digest, spec), n_follow pairs (id, what follows its end), n_sessions pairs (id,
--   "session affinity ttl_ms": what a session that is not there yet starts with), then 3 per task: id,
--   "level digest start_by eta deadline body_digest", body
-- RETURNS: {"unknown"} or {"ok", one letter per task, depth, limit, average cost in ms, in flight}
-- letters: q queued, e exists already, c conflict, f full, p its time is past, s its session is being ended
-- include: base index record live pin lane settled wake session intake
local now_ms = clock(now)
local t = redis.call('HMGET', tenant, 'max_queue', 'depth', 'route', 'avg', 'inflight', 'pool')
if not t[1] then return {'unknown'} end
local limit, depth, route = tonumber(t[1]), tonumber(t[2] or '0'), t[3] or t[6]

local specs, at = {}, 1
for _ = 1, tonumber(n_specs) do
  specs[REST[at]] = REST[at + 1]
  at = at + 2
end

local follow = {}
for _ = 1, tonumber(n_follow) do
  follow[REST[at]] = REST[at + 1]
  at = at + 2
end

local of_task = {}
for _ = 1, tonumber(n_sessions) do
  of_task[REST[at]] = REST[at + 1]
  at = at + 2
end
local open_session = session_intake(tenant_id, now_ms)

local function moment(text)
  if string.byte(text) == 43 then return now_ms + tonumber(string.sub(text, 2)) end
  return tonumber(text)
end

local ids = {}
for i = at, #REST, 3 do ids[#ids + 1] = REST[i] end
local known = hmget(index, ids)
local past = check_settled == '1' and recall(now_ms, ids) or {}

local letters, seen, lanes, order, delayed, behind = {}, {}, {}, {}, 0, 0
local entries, parkings, dues, class_counts, follows = {}, {}, {}, {}, {}
for n = 1, #ids do
  local id, base = ids[n], at + (n - 1) * 3
  local level, digest, start_by, eta, deadline, body_digest =
    string.match(REST[base + 1], '^(%d) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  local earlier = seen[id]
  if known[n] then
    local e = parse_index(known[n])
    earlier = e.tenant == tenant_id and e.digest or ''
  elseif past[n] then
    earlier = string.match(past[n], '^%u (%S+)$')
  end
  start_by, eta, deadline = moment(start_by), moment(eta), moment(deadline)
  if earlier then
    letters[n] = earlier == body_digest and 'e' or 'c'
  elseif (start_by > 0 and start_by <= now_ms) or (deadline > 0 and deadline <= now_ms) then
    letters[n] = 'p'
  elseif depth >= limit then
    letters[n] = 'f'
  elseif of_task[id] and open_session(of_task[id]).ended then
    letters[n] = 's'
  else
    letters[n] = 'q'
    depth = depth + 1
    seen[id] = body_digest
    if follow[id] then
      follows[#follows + 1] = id
      follows[#follows + 1] = follow[id]
    end
    local class = route .. '.' .. digest
    local session = of_task[id] and open_session(of_task[id])
    if session then class = take_in(now_ms, session, id, class, eta <= now_ms) end
    if deadline > 0 and (start_by == 0 or deadline < start_by) then start_by = deadline end
    if not class_counts[class] then class_counts[class] = {digest = digest, all = 0, lanes = 0} end
    class_counts[class].all = class_counts[class].all + 1
    if eta > now_ms then
      delayed = delayed + 1
      parkings[#parkings + 1] = id
      parkings[#parkings + 1] = record_head(id, tenant_id, class, level, 1, 0, now_ms, start_by, deadline) .. REST[base + 2]
      entries[#entries + 1] = id
      entries[#entries + 1] = index_entry('D', 0, 0, '-', tenant_id, class, level, body_digest, '-')
      dues[#dues + 1] = integer(eta)
      dues[#dues + 1] = 'd:' .. id
    elseif session and session.head ~= id then
      behind = behind + 1
      parkings[#parkings + 1] = id
      parkings[#parkings + 1] = record_head(id, tenant_id, class, level, 1, 0, now_ms, start_by, deadline) .. REST[base + 2]
      entries[#entries + 1] = id
      entries[#entries + 1] = index_entry('W', 0, 0, '-', tenant_id, class, level, body_digest, 's')
    else
      local field = lane_field(tenant_id, class, level)
      local lane = lanes[field]
      if not lane then
        lane = {class = class, level = level, items = {}}
        lanes[field] = lane
        order[#order + 1] = field
      end
      lane.items[#lane.items + 1] = {id, start_by, deadline, body_digest, REST[base + 2]}
      class_counts[class].lanes = class_counts[class].lanes + 1
    end
    if start_by > 0 then
      dues[#dues + 1] = integer(start_by)
      dues[#dues + 1] = 'x:' .. id
    end
  end
end

local queued = 0
for _, field in ipairs(order) do
  local lane = lanes[field]
  local seq, records = next_seqs(field, #lane.items), {}
  for i, item in ipairs(lane.items) do
    local s = integer(seq + i)
    records[i] = record_head(item[1], tenant_id, lane.class, lane.level, 1, s, now_ms, item[2], item[3]) .. item[5]
    entries[#entries + 1] = item[1]
    entries[#entries + 1] = index_entry('W', 0, s, '-', tenant_id, lane.class, lane.level, item[4], '-')
  end
  if bulk('RPUSH', lane_key(field), records) > #records then class_counts[lane.class].joined = true end
  queued = queued + #records
end

local added = queued + delayed + behind
if added > 0 then
  for class, count in pairs(class_counts) do
    if redis.call('HINCRBY', live, class, count.all) == count.all then
      redis.call('HSET', classes, class, route .. '\n' .. (specs[count.digest] or ''))
    end
    if count.lanes > 0 then counted(tenant_id, class, count.lanes, count.joined) end
  end
  bulk('HSET', index, entries)
  if #parkings > 0 then bulk('HSET', parked, parkings) end
  if #dues > 0 then bulk('ZADD', due, dues) end
  if #follows > 0 then bulk('HSET', P .. 'canvas', follows) end
  redis.call('HINCRBY', tenant, 'depth', added)
  -- Of several classes one is named: its claim tells of the others.
  wake_up(math.max(1, queued), queued > 0 and lanes[order[1]].class)
end
return {'ok', table.concat(letters), depth, limit, t[4] or '0', tonumber(t[5] or '0')}
