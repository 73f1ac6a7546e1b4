-- relabel: make the index of an instance what its hash says, should it differ.
-- KEYS: instances labels generations
-- DERIVES: having
-- ARGV: id generation ...
-- REST: labels, as policy/labels.py makes them
-- RETURNS: 1 when it differed, else 0 (also for one that is not registered)
-- include: base registry
local listed = redis.call('HGET', generations, id)
if not redis.call('ZSCORE', instances, id) then return 0 end
if listed and tonumber(listed) > tonumber(generation) then return 0 end
if listed == generation and redis.call('HGET', labels, id) == table.concat(REST, '\n') then return 0 end
unlabel(labels, id)
label_as(labels, id, REST)
redis.call('HSET', generations, id, generation)
return 1
