-- lane: entering one, at the tail (new, promoted) or at the head (handed back, lost with its instance).
-- Needs: index, seqs, waiting, meta, due bound by the script; base, live, pin.lua.

-- A tenant that becomes runnable in a class joins its ready index at its virtual time, but never
-- in the past: the floor is the virtual time that was served last.
local function join_ready(tenant, class)
  local key = tenant_key(tenant)
  local vt = tonumber(redis.call('HGET', key, 'vt') or '0')
  local floor = tonumber(redis.call('HGET', meta, 'floor') or '0')
  if vt < floor then
    vt = floor
    redis.call('HSET', key, 'vt', string.format('%.3f', vt))
  end
  redis.call('ZADD', ready_key(class), 'NX', string.format('%.3f', vt), tenant)
end

local function next_seqs(field, count)
  return redis.call('HINCRBY', seqs, field, count) - count
end

-- A tenant is in the ready index of a class as long as one of its lanes there is not empty: where
-- one held something before, `joined`, nobody looks.
local function counted(tenant, class, count, joined)
  redis.call('HINCRBY', waiting, class, count)
  if not joined and redis.call('ZSCORE', ready_key(class), tenant) == false then join_ready(tenant, class) end
end

-- A session's task enters the lane of the class that is in force now. True: it is another one.
local function renew_class(r)
  local class = class_in_force(r.id, r.class)
  if class == r.class then return false end
  move_live(r.class, class)
  r.class = class
  return true
end

-- Puts one record, whose header is parsed as r, at the tail with a new sequence.
local function enter_tail(r, body, epoch, digest, now)
  if of_session(r.class) then renew_class(r) end
  local field = lane_field(r.tenant, r.class, r.level)
  local seq = integer(next_seqs(field, 1) + 1)
  redis.call('RPUSH', lane_key(field), record_head(r.id, r.tenant, r.class, r.level, r.attempt,
    seq, now, r.start_by, r.deadline) .. body)
  redis.call('HSET', index, r.id,
    index_entry('W', epoch, seq, '-', r.tenant, r.class, r.level, digest, '-'))
  counted(r.tenant, r.class, 1)
end

-- Puts one record back at the head, with its old entry time, and its old sequence if it is its old lane.
local function enter_head(r, record, epoch, digest)
  if of_session(r.class) and renew_class(r) then
    r.seq = integer(next_seqs(lane_field(r.tenant, r.class, r.level), 1) + 1)
    record = record_head(r.id, r.tenant, r.class, r.level, r.attempt, r.seq, r.entry, r.start_by, r.deadline)
      .. body_of(record)
  end
  local field = lane_field(r.tenant, r.class, r.level)
  redis.call('LPUSH', lane_key(field), record)
  -- Claim looks only into lanes that have a sequence.
  redis.call('HSETNX', seqs, field, r.seq)
  redis.call('HSET', index, r.id,
    index_entry('W', epoch, r.seq, '-', r.tenant, r.class, r.level, digest, '-'))
  counted(r.tenant, r.class, 1)
end

-- When a task that waits (again) is to have started at the latest; 0: no such time any more.
local function start_due(id, start_by)
  if start_by > 0 then redis.call('ZADD', due, integer(start_by), 'x:' .. id)
  else redis.call('ZREM', due, 'x:' .. id) end
end
