-- recall: how a task ended that was settled a short while ago.
-- KEYS: index
-- DERIVES: settled known
-- ARGV: now id
-- RETURNS: the state's letter, or ""
-- include: base settled
local past = recall(clock(now), {id})[1]
return past and string.sub(past, 1, 1) or ''
