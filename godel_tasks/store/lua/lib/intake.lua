-- intake: sessions that tasks are submitted to. Needs: base, pin, session.lua.
-- Answers a function that opens the session of "session affinity ttl_ms", once a call of the script.
local function session_intake(tenant, now)
  local opened = {}
  return function(terms)
    local id, affinity, ttl = string.match(terms, '^(%S+) (%S+) (%d+)$')
    local name = tenant .. ':' .. id
    local session = opened[name]
    if session then return session end
    local key = session_key(name)
    local f = redis.call('HMGET', key, 'head', 'ended', 'instance', 'affinity', 'used_ms', 'ttl_ms')
    if f[6] and now - tonumber(f[5]) > tonumber(f[6]) and redis.call('EXISTS', members_key(name)) == 0 then
      drop_session(name)
      f = {}
    end
    session = {name = name, head = f[1], ended = f[2], instance = f[3], affinity = f[4] or affinity,
      fresh = not f[6] and ttl}
    opened[name] = session
    return session
  end
end

local function create_session(name, affinity, ttl, now)
  redis.call('HSET', session_key(name), 'affinity', affinity, 'ttl_ms', ttl, 'created_ms', integer(now))
end

-- A task of that session was admitted; `at_once`: it joins now, not when it is due. Answers its class.
local function take_in(now, session, id, class, at_once)
  if session.fresh then
    create_session(session.name, session.affinity, session.fresh, now)
    session.fresh = false
  end
  redis.call('HSET', P .. 'sessioned', id, session.name)
  redis.call('SADD', members_key(session.name), id)
  use_session(session.name, now)
  if at_once and session.head then
    redis.call('RPUSH', behind_key(session.name), id)
  elseif at_once then
    session.head = id
    redis.call('HSET', session_key(session.name), 'head', id)
    return pinned_class(class, session.instance, session.affinity)
  end
  return class .. '~'
end
