-- heap: a binary heap of tenants, the lowest virtual time first (ties by name, so that a run can be
-- repeated).
local function before(a, b)
  if a.vt ~= b.vt then return a.vt < b.vt end
  return a.name < b.name
end

local function heap_push(heap, item)
  local i = #heap + 1
  heap[i] = item
  while i > 1 do
    local up = math.floor(i / 2)
    if not before(heap[i], heap[up]) then break end
    heap[i], heap[up] = heap[up], heap[i]
    i = up
  end
end

local function heap_pop(heap)
  local top, last = heap[1], heap[#heap]
  heap[#heap] = nil
  if #heap == 0 then return top end
  heap[1] = last
  local i = 1
  while true do
    local least, left, right = i, 2 * i, 2 * i + 1
    if left <= #heap and before(heap[left], heap[least]) then least = left end
    if right <= #heap and before(heap[right], heap[least]) then least = right end
    if least == i then return top end
    heap[i], heap[least] = heap[least], heap[i]
    i = least
  end
end
