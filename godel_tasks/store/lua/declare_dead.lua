-- declare_dead: this registration of an instance is over, though its process lives: its heartbeats
-- are refused until it registers anew.
-- KEYS: info
-- ARGV: generation
-- RETURNS: 1, or 0 when another registration (or none) is in force
-- include: base
if redis.call('HGET', info, 'generation') ~= generation then return 0 end
redis.call('HSET', info, 'status', 'dead')
return 1
