-- record: "id tenant class level attempt seq entry start_by deadline\n" and an opaque body.
local RECORD_PATTERN = '^(%S+) (%S+) (%S+) (%d) (%d+) (%d+) (%d+) (%d+) (%d+)\n'

local function parse_record(record)
  local id, tenant, class, level, attempt, seq, entry, start_by, deadline =
    string.match(record, RECORD_PATTERN)
  return {
    id = id, tenant = tenant, class = class, level = level, attempt = tonumber(attempt),
    seq = seq, entry = tonumber(entry), start_by = tonumber(start_by),
    deadline = tonumber(deadline),
  }
end

local function record_head(id, tenant, class, level, attempt, seq, entry, start_by, deadline)
  return id .. ' ' .. tenant .. ' ' .. class .. ' ' .. level .. ' ' .. attempt .. ' ' .. seq
    .. ' ' .. integer(entry) .. ' ' .. integer(start_by) .. ' ' .. integer(deadline) .. '\n'
end

local function body_of(record) return string.sub(record, string.find(record, '\n', 1, true) + 1) end

-- A held value is "batch epoch instance slot estimate claimed\n" and the record.
local function record_of_held(value) return body_of(value) end
