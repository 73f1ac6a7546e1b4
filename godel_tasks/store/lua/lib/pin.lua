-- pin: the class of a session's task says where it may run: "base~" on any instance, "base~gw-1" on that
-- one, "base~gw-1!" on no other ever. What is in force is decided whenever a task enters a lane. Needs: base.
-- A session's name in keys and values is "tenant:session".
local function session_key(name) return P .. 'session:' .. name end
local function behind_key(name) return P .. 'behind:' .. name end
local function members_key(name) return P .. 'members:' .. name end
local function session_of(id) return redis.call('HGET', P .. 'sessioned', id) end

local function of_session(class) return string.find(class, '~', 1, true) ~= nil end

local function pinned_class(base, instance, affinity)
  if not instance then return base .. '~' end
  return base .. '~' .. instance .. (affinity == 'hard' and '!' or '')
end

local function class_in_force(id, class)
  local base = string.match(class, '^([^~]+)~')
  local name = base and session_of(id)
  if not name then return base or class end
  local s = redis.call('HMGET', session_key(name), 'instance', 'affinity')
  return pinned_class(base, s[1], s[2])
end

local function count_pin(instance, change)
  local key = P .. 'pinned'
  if redis.call('HINCRBY', key, instance, change) <= 0 then redis.call('HDEL', key, instance) end
end

local function unbind(name)
  local instance = redis.call('HGET', session_key(name), 'instance')
  if not instance then return end
  redis.call('HDEL', session_key(name), 'instance', 'generation', 'bound_ms')
  count_pin(instance, -1)
end

-- Its head was claimed for a slot of an instance, "id#generation". `ran`: attempts there.
local function bind(now, id, where)
  local name = session_of(id)
  if not name then return end
  local key = session_key(name)
  local instance, generation = string.match(where, '^(.*)#(%d+)$')
  local was = redis.call('HMGET', key, 'instance', 'generation')
  if was[1] == instance and was[2] == generation then return end
  if was[1] ~= instance then
    if was[1] then count_pin(was[1], -1) end
    count_pin(instance, 1)
    redis.call('HSET', key, 'bound_ms', integer(now), 'ran', 0)
  end
  redis.call('HSET', key, 'instance', instance, 'generation', generation)
end

-- An attempt of its head is over. One that never ran there leaves nothing behind: it may go elsewhere.
local function attempted(id, verb)
  local name = session_of(id)
  if not name then return end
  if verb ~= 'B' then redis.call('HINCRBY', session_key(name), 'ran', 1)
  elseif (redis.call('HGET', session_key(name), 'ran') or '0') == '0' then unbind(name) end
end
