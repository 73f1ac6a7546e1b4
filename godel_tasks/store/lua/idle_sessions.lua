-- idle_sessions: forget sessions that nothing has used for their time to live, and name those that are being
-- ended and still have tasks, for end_session.
-- KEYS: index
-- DERIVES: session behind members sessions pinned
-- ARGV: now limit
-- RETURNS: {how many were forgotten, flat (name, who ended it)}
-- include: base pin session
local now_ms = clock(now)
local forgotten, unfinished = 0, {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'sessions', '-inf', integer(now_ms), 'LIMIT', 0, limit)) do
  local s = redis.call('HMGET', session_key(name), 'ended_by', 'ttl_ms')
  if redis.call('EXISTS', members_key(name)) == 0 then
    drop_session(name)
    forgotten = forgotten + 1
  elseif s[1] then
    unfinished[#unfinished + 1] = name
    unfinished[#unfinished + 1] = s[1]
  else
    redis.call('ZADD', P .. 'sessions', integer(now_ms + tonumber(s[2])), name)
  end
end
return {forgotten, unfinished}
