-- cancel: a waiting task is settled at once; a held one is flagged, and its dispatcher told.
-- KEYS: index classes live waiting meta due wake sleepers parked seqs tombs
-- DERIVES: lane ready tenant outbox settled known cancels evidence sessioned session behind members sessions pinned moved unroutable
-- ARGV: now id who running_too
-- RETURNS: {"unknown"} | {"settled", letter} | {"cancelled"} | {"asked", dispatcher} | {"running"}
-- include: base index record live pin lane wake session settled finish stop
local now_ms = clock(now)
local entry = redis.call('HGET', index, id)
if not entry then
  local past = recall(now_ms, {id})[1]
  if past then return {'settled', string.sub(past, 1, 1)} end
  return {'unknown'}
end
local e = parse_index(entry)
if (e.state == 'C' or e.state == 'R') and running_too ~= '1' then return {'running'} end
return stop(now_ms, id, e, who)
