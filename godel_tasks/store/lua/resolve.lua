-- resolve: a person decides about a task on hold.
-- KEYS: index classes live waiting meta due wake sleepers parked seqs
-- DERIVES: lane ready tenant outbox settled known evidence sessioned session behind members sessions pinned moved unroutable
-- ARGV: now id verdict text
-- verdicts: retry (another attempt), fail, succeed (text is the result as JSON)
-- RETURNS: "ok", "unknown", or the letter of the state that it is in instead
-- include: base index record live pin lane wake session settled finish
local now_ms = clock(now)
local entry = redis.call('HGET', index, id)
if not entry then return 'unknown' end
local e = parse_index(entry)
if e.state ~= 'H' then return e.state end
local record = redis.call('HGET', parked, id)
redis.call('HDEL', parked, id)
redis.call('HDEL', P .. 'evidence', id)
redis.call('ZREM', due, 'h:' .. id, 'x:' .. id)
if verdict == 'retry' then
  local r = parse_record(record)
  r.attempt, r.start_by = r.attempt + 1, r.deadline
  enter_tail(r, body_of(record), e.epoch, e.digest, now_ms)
  start_due(id, r.start_by)
else
  local letter = verdict == 'succeed' and 'S' or 'F'
  finish(now_ms, id, letter, e, '-', text, letter == 'S' and 'succeeded' or 'failed')
  redis.call('HINCRBY', tenant_key(e.tenant), 'depth', -1)
end
wake_up(1)
return 'ok'
