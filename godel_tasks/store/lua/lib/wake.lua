-- wake: one token per sleeping dispatcher at most. It says what to look at, "class tasks", or "-": all.
-- Needs: wake, sleepers.
local function wake_up(count, class)
  local asleep = redis.call('SCARD', sleepers)
  if asleep == 0 then return end
  local missing = math.min(count, asleep) - redis.call('LLEN', wake)
  for _ = 1, missing do redis.call('LPUSH', wake, class and class .. ' ' .. count or '-') end
  if missing > 0 then redis.call('PEXPIRE', wake, 60000) end
end
