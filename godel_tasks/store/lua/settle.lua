-- settle: the ends of attempts, fenced on owner and epoch. Outcome and outbox entry are one write.
-- KEYS: index held outbox settles classes live waiting meta due wake sleepers parked seqs dead dead_at dead_classes
-- DERIVES: lane ready tenant settled known cancels evidence sessioned session behind members sessions pinned moved unroutable
-- ARGV: now dispatcher sequence ...
-- REST: 3 per task: id, "verb epoch estimate actual_ms after_ms letter bury", data; where the attempt's
--   usage is known, the second one goes on with " tokens_in tokens_out tokens_cached cost_nanos"
--   (cached: read and written; 10^-9 dollars, a whole number, as HINCRBY's sums of those are exact)
-- verbs: T terminal (data is the outbox entry), R next attempt after after_ms (0: now, at the head of its
--   lane, for it has waited its turn), B same attempt, back to the head of its lane, H hold for after_ms
--   or to its deadline (data is the evidence)
-- RETURNS: one letter per task: o settled, s stale (somebody else owns it now)
-- include: base index record live pin lane wake session settled
-- A repeat (its reply was lost) gets the answer of the first time.
local stored = redis.call('HGET', settles, dispatcher)
if stored then
  local last, letters = string.match(stored, '^(%d+) (%a*)$')
  if tonumber(last) >= tonumber(sequence) then return letters end
end
local now_ms = clock(now)
local ids = {}
for i = 1, #REST, 3 do ids[#ids + 1] = REST[i] end
local entries = hmget(index, ids)

local letters, gone, outbox_pairs, short, long, undue = {}, {}, {}, {}, {}, {}
local per_tenant, per_class, handed_back = {}, {}, {}
local seen, done = {}, {}
local COUNTER = {S = 'succeeded', F = 'failed', X = 'expired', K = 'cancelled'}

local function tally(tenant)
  local t = per_tenant[tenant]
  if not t then
    t = {inflight = 0, depth = 0, cost = 0, ran = 0, charge = 0, counters = {}, classes = {}}
    per_tenant[tenant] = t
  end
  return t
end

-- Whatever follows: an attempt that is retried has cost what it has cost.
local function add_usage(t, used)
  t.usage = t.usage or {tokens_in = 0, tokens_out = 0, tokens_cached = 0, cost_nanos = 0}
  local spent_in, spent_out, cached, nanos = string.match(used, '^(%d+) (%d+) (%d+) (%d+)$')
  t.usage.tokens_in = t.usage.tokens_in + spent_in
  t.usage.tokens_out = t.usage.tokens_out + spent_out
  t.usage.tokens_cached = t.usage.tokens_cached + cached
  t.usage.cost_nanos = t.usage.cost_nanos + nanos
end

local function reenter(n, id, e, verb, after, data)
  local record = record_of_held(redis.call('HGET', held, id))
  local r = parse_record(record)
  tally(e.tenant).depth = tally(e.tenant).depth + 1
  if verb == 'B' then
    handed_back[#handed_back + 1] = {r, record, e}
    start_due(id, r.start_by)
  elseif verb == 'R' then
    r.attempt, r.start_by = r.attempt + 1, r.deadline
    if after <= 0 then
      handed_back[#handed_back + 1] = {r, record_head(id, r.tenant, r.class, r.level, r.attempt, r.seq,
        r.entry, r.start_by, r.deadline) .. body_of(record), e}
    else
      redis.call('HSET', parked, id, record_head(id, r.tenant, r.class, r.level, r.attempt, 0, now_ms, r.start_by, r.deadline) .. body_of(record))
      redis.call('HSET', index, id, index_entry('D', e.epoch, 0, '-', e.tenant, e.class, e.level, e.digest, 'r'))
      redis.call('ZADD', due, integer(now_ms + after), 'd:' .. id)
      wake_up(1)
    end
    start_due(id, r.start_by)
  else
    redis.call('HSET', parked, id, record)
    redis.call('HSET', P .. 'evidence', id, data)
    redis.call('HSET', index, id, index_entry('H', e.epoch, 0, '-', e.tenant, e.class, e.level, e.digest, '-'))
    local till = r.deadline > 0 and r.deadline or now_ms + after
    redis.call('ZADD', due, integer(till), 'h:' .. id)
  end
end

local OWNED_PATTERN = '^%u (%d+) %d+ (%S+) (%S+) (%S+) %d (%S+) (%S+)$'
for n = 1, #ids do
  local id = ids[n]
  local verb, epoch, estimate, actual, after, letter, bury, used =
    string.match(REST[n * 3 - 1], '^(%u) (%d+) (%S+) (%S+) (%S+) (%S) (%d) ?(.*)$')
  local epoch_now, owner, tenant, class, digest, flags
  if entries[n] then epoch_now, owner, tenant, class, digest, flags = string.match(entries[n], OWNED_PATTERN) end
  if seen[id] or owner ~= dispatcher or epoch_now ~= epoch then
    letters[n] = 's'
  else
    letters[n], seen[id] = 'o', true
    done[#done + 1] = id
    local t = tally(tenant)
    t.inflight = t.inflight + 1
    t.classes[class] = true
    t.charge = t.charge + tonumber(actual) - tonumber(estimate)
    if verb ~= 'B' then
      t.cost = t.cost + tonumber(actual)
      t.ran = t.ran + 1
    end
    if used ~= '' then add_usage(t, used) end
    local data = REST[n * 3]
    if flags == 'c' then
      local who = redis.call('HGET', cancels_key(dispatcher), id)
      redis.call('HDEL', cancels_key(dispatcher), id)
      if verb ~= 'T' then
        -- It was to be cancelled while it ran, and now runs nowhere.
        verb, letter, bury = 'T', 'K', '0'
        data = '!K ' .. tenant .. ' ' .. integer(now_ms) .. ' cancelled by ' .. (who or 'somebody')
      end
    end
    if verb == 'T' then
      if bury == '1' then
        redis.call('HSET', dead, id, record_of_held(redis.call('HGET', held, id)))
        redis.call('ZADD', dead_at, integer(now_ms), id)
        redis.call('HSETNX', dead_classes, class, redis.call('HGET', classes, class) or '')
      end
      local g = #gone + 1
      local ended = letter .. ' ' .. digest
      gone[g], undue[g] = id, 'x:' .. id
      outbox_pairs[2 * g - 1], outbox_pairs[2 * g] = id, data
      short[2 * g - 1], short[2 * g] = id, ended
      if digest ~= '-' then
        long[#long + 1] = id
        long[#long + 1] = ended
      end
      per_class[class] = (per_class[class] or 0) + 1
      local counter = COUNTER[letter]
      t.counters[counter] = (t.counters[counter] or 0) + 1
    else
      reenter(n, id, parse_index(entries[n]), verb, tonumber(after), data)
    end
  end
end
if #done > 0 then bulk('HDEL', held, done) end

local sessions = false
for _, t in pairs(per_tenant) do
  for class in pairs(t.classes) do sessions = sessions or of_session(class) end
end
if sessions then
  for n = 1, #ids do
    if letters[n] == 'o' then attempted(ids[n], string.sub(REST[n * 3 - 1], 1, 1)) end
  end
end

for i = #handed_back, 1, -1 do
  local item = handed_back[i]
  enter_head(item[1], item[2], item[3].epoch, item[3].digest)
end
if #handed_back > 0 then wake_up(#handed_back) end

if #gone > 0 then
  bulk('HDEL', index, gone)
  bulk('HSET', outbox, outbox_pairs)
  remember(now_ms, short, long)
  if redis.call('EXISTS', due) == 1 then bulk('ZREM', due, undue) end
  -- First: the next one of a session may take its place in the class.
  if sessions then
    for _, id in ipairs(gone) do session_over(now_ms, id) end
  end
  for class, count in pairs(per_class) do drop_live(class, count) end
end
for tenant, t in pairs(per_tenant) do
  local key = tenant_key(tenant)
  local f = redis.call('HMGET', key, 'vt', 'weight', 'avg', 'inflight', 'slot_ms')
  local avg = tonumber(f[3] or '100')
  -- The moving average forgets half of the past in about 14 tasks.
  if t.ran > 0 then avg = avg + (1 - 0.95 ^ t.ran) * (math.max(t.cost / t.ran, 1) - avg) end
  local vt = string.format('%.3f', tonumber(f[1] or '0') + t.charge / tonumber(f[2] or '1'))
  redis.call('HSET', key, 'avg', string.format('%.3f', avg), 'vt', vt,
    'inflight', integer(tonumber(f[4] or '0') - t.inflight),
    'slot_ms', string.format('%.3f', tonumber(f[5] or '0') + t.cost))
  -- The ready index holds lower bounds: a refund must lower them, or the tenant is served late.
  if t.charge < 0 then
    for class in pairs(t.classes) do redis.call('ZADD', ready_key(class), 'XX', 'LT', vt, tenant) end
  end
  if t.depth > 0 then redis.call('HINCRBY', key, 'depth', t.depth) end
  for counter, count in pairs(t.counters) do redis.call('HINCRBY', key, counter, count) end
  -- A sum that is full stays as it is: too late to refuse, the ends are written.
  for counter, count in pairs(t.usage or {}) do redis.pcall('HINCRBY', key, counter, integer(count)) end
end
local text = table.concat(letters)
-- All stale: the same again by itself, and a dispatcher that was reaped leaves no trace.
if #done > 0 then redis.call('HSET', settles, dispatcher, sequence .. ' ' .. text) end
return text
