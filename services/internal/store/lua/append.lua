-- append: number the new operations of a batch, write them to the log as one
-- entry and publish the same bytes.
--
-- KEYS  1-4 see state.lua; 5… one key per session of the batch, each once
-- ARGV  1 the caller's epoch        2 the highest seq that it has seen
--       3 a fresh random epoch      4 the log's cap, in entries
--       5 PUBLISH or SPUBLISH       6 the channel
--       7 the record's version byte
--       then per session its time to live in ms,
--       then per operation: index of its session (1…), its number, its bytes
-- Reply missing, run, stale: see admit in state.lua; nothing was appended
--       {'full', epoch, head, '0', '0', '0', sessions…}  nothing was appended
--       {'ok', epoch, head, first, count, time, sessions…}
--       where sessions… is, for each session, the number and seq of its last
--       operation in the log ('0', '0': none)
--
-- Atomic as a whole, with one reservation: an error does not undo what was
-- written before it. So every check comes first, then XADD, the one write that
-- can still fail, then those that cannot. Publishing comes last and may fail:
-- the operations are in the log, and readers find them there.

local refused, head = admit(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end

local sessions = #KEYS - 4
local number, seq, changed = {}, {}, {}
for i = 1, sessions do
  number[i], seq[i] = 0, 0
  local state = redis.call('GET', KEYS[4 + i])
  if state then
    local n, s = string.match(state, '^(%d+) (%d+)$')
    -- A state from beyond the head belongs to a log that is gone.
    if n and tonumber(s) <= head then
      number[i], seq[i] = tonumber(n), tonumber(s)
    end
  end
end

-- The table is what makes 5, 5, 6 in one batch append 5 and 6: the keys of the
-- sessions are written once, after the log.
local before = {}
for i = 1, sessions do
  before[i] = {number[i], seq[i]}
end
local accepted = {}
local last = head
for a = 8 + sessions, #ARGV, 3 do
  local i, n = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  if n > number[i] then
    last = last + 1
    number[i], seq[i], changed[i] = n, last, true
    accepted[#accepted + 1] = ARGV[a + 2]
  end
end

local function reply(status, first, time, state)
  local r = {status, ARGV[1], text(last), text(first), text(#accepted), text(time)}
  for i = 1, sessions do
    r[#r + 1], r[#r + 2] = text(state(i, 1)), text(state(i, 2))
  end
  return r
end
local function after(i, part)
  if part == 1 then
    return number[i]
  end
  return seq[i]
end

if #accepted == 0 then
  return reply('ok', 0, 0, after)
end
if redis.call('XLEN', LOG) >= tonumber(ARGV[4]) then
  last, accepted = head, {}
  return reply('full', 0, 0, function(i, part) return before[i][part] end)
end

-- The server's clock may step back; the log's time may not.
local clock = redis.call('TIME')
local time = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local previous = tonumber(redis.call('HGET', META, 'time') or '0') or 0
if previous > time then
  time = previous
end

local first = head + 1
local record = ARGV[7] .. ARGV[1] .. ' ' .. text(first) .. ' ' .. text(#accepted) .. ' ' .. text(time) ..
  '\n' .. table.concat(accepted)

redis.call('XADD', LOG, text(last) .. '-0', 'e', record)
redis.call('SET', HEAD, text(last))
redis.call('HSET', META, 'time', text(time))
for i = 1, sessions do
  if changed[i] then
    redis.call('SET', KEYS[4 + i], text(number[i]) .. ' ' .. text(seq[i]), 'PX', ARGV[7 + i])
  end
end
redis.pcall(ARGV[5], ARGV[6], record)

return reply('ok', first, time, after)
