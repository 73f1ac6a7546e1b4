-- live: how many unsettled tasks a class has. Its last one takes the class with it. Needs: live, classes; base.lua.
local function drop_live(class, count)
  if redis.call('HINCRBY', live, class, -count) <= 0 then
    redis.call('HDEL', live, class)
    redis.call('HDEL', classes, class)
    redis.call('HDEL', P .. 'unroutable', class)
  end
end

-- A task's class becomes another one that asks the same of an instance.
local function move_live(from, to)
  if from == to then return end
  if redis.call('HINCRBY', live, to, 1) == 1 then
    redis.call('HSET', classes, to, redis.call('HGET', classes, from) or '')
  end
  drop_live(from, 1)
end
