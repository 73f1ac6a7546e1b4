-- end_session: nothing follows in a session any more, and what it has is cancelled: its head first, for
-- nothing takes its place. Again and again until nothing is left but what still runs; then it is gone.
-- KEYS: index classes live waiting meta due wake sleepers parked seqs tombs
-- DERIVES: lane ready tenant outbox settled known cancels evidence sessioned session behind members sessions pinned moved unroutable
-- ARGV: now name who limit
-- RETURNS: {"unknown"} | {"ok", cancelled, told to stop, left, instance or ""}
-- include: base index record live pin lane wake session settled finish stop
local now_ms = clock(now)
local key = session_key(name)
local s = redis.call('HMGET', key, 'affinity', 'head', 'instance')
if not s[1] then return {'unknown'} end
redis.call('HSETNX', key, 'ended', integer(now_ms))
redis.call('HSETNX', key, 'ended_by', who)
-- Whoever looks for idle sessions goes on from here, if nobody else does.
redis.call('ZADD', P .. 'sessions', integer(now_ms), name)
local cancelled, asked = 0, 0
local function cancel(id)
  local entry = redis.call('HGET', index, id)
  local e = entry and parse_index(entry)
  if not e then
    redis.call('SREM', members_key(name), id)
  elseif e.flags ~= 'c' then
    if stop(now_ms, id, e, who)[1] == 'asked' then asked = asked + 1 else cancelled = cancelled + 1 end
  end
end
if s[2] then cancel(s[2]) end
local ids = redis.call('LRANGE', behind_key(name), 0, tonumber(limit) - 1)
if #ids == 0 then
  -- Those that are delayed have not joined yet.
  local cursor = '0'
  repeat
    local page = redis.call('SSCAN', members_key(name), cursor, 'COUNT', limit)
    cursor, ids = page[1], page[2]
    for _, id in ipairs(ids) do cancel(id) end
  until cursor == '0' or cancelled > 0
else
  for _, id in ipairs(ids) do cancel(id) end
end
local left = redis.call('SCARD', members_key(name))
if left == 0 then drop_session(name) end
return {'ok', cancelled, asked, left, s[3] or ''}
