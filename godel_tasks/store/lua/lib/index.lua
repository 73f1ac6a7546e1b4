-- index: one field per unsettled task: "state epoch seq owner tenant class level digest flags".
local function index_entry(state, epoch, seq, owner, tenant, class, level, digest, flags)
  return state .. ' ' .. epoch .. ' ' .. seq .. ' ' .. owner .. ' ' .. tenant .. ' ' .. class
    .. ' ' .. level .. ' ' .. digest .. ' ' .. flags
end

local INDEX_PATTERN = '^(%u) (%d+) (%d+) (%S+) (%S+) (%S+) (%d) (%S+) (%S+)$'

local function parse_index(entry)
  local state, epoch, seq, owner, tenant, class, level, digest, flags =
    string.match(entry, INDEX_PATTERN)
  return {
    state = state, epoch = tonumber(epoch), seq = seq, owner = owner, tenant = tenant,
    class = class, level = level, digest = digest, flags = flags,
  }
end
