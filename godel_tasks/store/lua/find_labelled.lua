-- find_labelled: instances that have, of each group, at least one label. Begins with the group that
-- the fewest have, and looks at those only.
-- KEYS: labels
-- DERIVES: having
-- ARGV: ...
-- REST: groups, each as the number of its labels and the labels
-- RETURNS: ids
-- include: base registry
local groups, first, fewest = {}, 1, math.huge
local i = 1
while i <= #REST do
  local group, size = {}, 0
  for j = i + 1, i + tonumber(REST[i]) do
    group[#group + 1] = having_key(REST[j])
    size = size + redis.call('SCARD', having_key(REST[j]))
  end
  groups[#groups + 1] = group
  if size < fewest then first, fewest = #groups, size end
  i = i + 1 + tonumber(REST[i])
end
if #groups == 0 then return redis.call('HKEYS', labels) end
local found = {}
for _, id in ipairs(redis.call('SUNION', unpack(groups[first]))) do
  local fits = true
  for n, group in ipairs(groups) do
    if n ~= first then
      local has = false
      for _, key in ipairs(group) do has = has or redis.call('SISMEMBER', key, id) == 1 end
      fits = fits and has
    end
  end
  if fits then found[#found + 1] = id end
end
return found
