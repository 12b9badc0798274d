-- trim: drop what the stored checkpoint holds, except for the retention.
--
-- KEYS  1-4 see state.lua
-- ARGV  1 version of checkpoints that the caller can read
--       2 the number of operations to keep behind the checkpoint, at least 1
-- Reply the number of entries that were dropped
--
-- Atomic: the bound comes from the checkpoint as it is stored at this moment,
-- never from what a caller believes to be stored, so that no log is ever cut
-- beyond what can be loaded. An entry's id is its last seq: one that holds
-- operations on both sides of the bound stays.

local stored = redis.call('HMGET', CHECKPOINT, 'v', 'epoch', 'seq')
if not stored[3] or stored[1] ~= ARGV[1] or stored[2] ~= redis.call('HGET', META, 'epoch') then
  return 0
end
local bound = tonumber(stored[3]) - tonumber(ARGV[2])
if bound < 1 then
  return 0
end
return redis.call('XTRIM', LOG, 'MINID', '=', text(bound + 1) .. '-0')
