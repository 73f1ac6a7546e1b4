-- breaker_read: a breaker as it stands; nothing is written.
-- KEYS: breaker
-- ARGV: now
-- RETURNS: what breaker_look tells
-- include: base breaker
return breaker_look(known_breaker(), clock(now))
