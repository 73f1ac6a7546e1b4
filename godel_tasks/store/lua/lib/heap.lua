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

-- After the virtual time of the first one has grown.
local function heap_sink(heap)
  local i, size = 1, #heap
  while true do
    local least, left = i, 2 * i
    if left <= size and before(heap[left], heap[least]) then least = left end
    if left < size and before(heap[left + 1], heap[least]) then least = left + 1 end
    if least == i then return end
    heap[i], heap[least] = heap[least], heap[i]
    i = least
  end
end

local function heap_drop(heap)
  heap[1] = heap[#heap]
  heap[#heap] = nil
  heap_sink(heap)
end
