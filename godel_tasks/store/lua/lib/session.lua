-- session: its tasks one after the other. Only the head is in a lane (or held, or parked); the others are
-- parked in the order in which they came, waiting with the flag s. Needs: index, parked; base, index,
-- record, live, pin, lane, wake.lua.
local function use_session(name, now)
  local ttl = redis.call('HGET', session_key(name), 'ttl_ms') or '0'
  redis.call('HSET', session_key(name), 'used_ms', integer(now))
  redis.call('ZADD', P .. 'sessions', integer(now + tonumber(ttl)), name)
end

local function drop_session(name)
  unbind(name)
  redis.call('DEL', session_key(name), behind_key(name), members_key(name))
  redis.call('ZREM', P .. 'sessions', name)
end

-- A task whose time has come joins its session: as its head, or behind. True: it is in a lane now.
local function join_session(now, r, body, e)
  local name = session_of(r.id)
  local s = redis.call('HMGET', session_key(name), 'head', 'ended')
  if not s[2] and (not s[1] or s[1] == r.id) then
    redis.call('HSET', session_key(name), 'head', r.id)
    enter_tail(r, body, e.epoch, e.digest, now)
    return true
  end
  redis.call('HSET', parked, r.id, record_head(r.id, r.tenant, r.class, r.level, r.attempt, 0, now, r.start_by, r.deadline) .. body)
  redis.call('HSET', index, r.id, index_entry('W', e.epoch, 0, '-', r.tenant, r.class, r.level, e.digest, 's'))
  redis.call('RPUSH', behind_key(name), r.id)
  return false
end

-- A task of a session reached its end: the next one enters a lane, in the class that is in force, counted
-- as waiting since it came. Nothing follows in a session that was ended: its tasks are being cancelled.
local function session_over(now, id)
  local name = session_of(id)
  if not name then return end
  redis.call('HDEL', P .. 'sessioned', id)
  redis.call('HDEL', P .. 'moved', id)
  redis.call('SREM', members_key(name), id)
  local key = session_key(name)
  local s = redis.call('HMGET', key, 'head', 'ended')
  if s[2] then
    if s[1] == id then redis.call('HDEL', key, 'head') end
    if redis.call('EXISTS', members_key(name)) == 0 then drop_session(name) end
    return
  end
  use_session(name, now)
  if s[1] ~= id then return end
  local following = redis.call('LPOP', behind_key(name))
  if not following then
    redis.call('HDEL', key, 'head')
    return
  end
  redis.call('HSET', key, 'head', following)
  local e = parse_index(redis.call('HGET', index, following))
  local record = redis.call('HGET', parked, following)
  redis.call('HDEL', parked, following)
  local r = parse_record(record)
  enter_tail(r, body_of(record), e.epoch, e.digest, r.entry)
  wake_up(1)
end

local function leave_session_queue(id)
  redis.call('LREM', behind_key(session_of(id)), 1, id)
  redis.call('HDEL', parked, id)
end
