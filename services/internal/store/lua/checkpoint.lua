-- checkpoint: store the picture of a canvas at a position.
--
-- KEYS  1-4 see state.lua
-- ARGV  1 version, 2 epoch, 3 seq, 4 time, 5 hash
--       6 the seq and 7 the hash of the checkpoint on which the tiles are
--       based; '' for both: the tiles are all that differ from the background
--       8… field and value of each tile that differs; an empty value: the tile
--       has the background's colour
-- Reply 'ok'
--       'missing'   there is no such canvas
--       'conflict'  another epoch, a seq beyond the head or not after the
--                   stored one, or another run of the server
--       'base'      the stored checkpoint is not the one on which the tiles
--                   are based: send all of them
--
-- Atomic: comparison and all fields. The lease of the writer only saves work;
-- two writers at once are safe through this script alone.

local meta = redis.call('HMGET', META, 'epoch', 'run')
if not meta[1] then
  return 'missing'
end
local seq = tonumber(ARGV[3])
if meta[1] ~= ARGV[2] or (meta[2] or '') ~= server_run() or seq > log_head() then
  return 'conflict'
end
local stored = redis.call('HMGET', CHECKPOINT, 'seq', 'hash', 'v', 'epoch')
if stored[1] and tonumber(stored[1]) >= seq then
  return 'conflict'
end
if ARGV[6] == '' then
  redis.call('DEL', CHECKPOINT)
elseif stored[1] ~= ARGV[6] or stored[2] ~= ARGV[7] or stored[3] ~= ARGV[1] or stored[4] ~= ARGV[2] then
  return 'base'
end
redis.call('HSET', CHECKPOINT, 'v', ARGV[1], 'epoch', ARGV[2], 'seq', ARGV[3], 'time', ARGV[4], 'hash', ARGV[5])
for a = 8, #ARGV, 2 do
  if ARGV[a + 1] == '' then
    redis.call('HDEL', CHECKPOINT, ARGV[a])
  else
    redis.call('HSET', CHECKPOINT, ARGV[a], ARGV[a + 1])
  end
end
return 'ok'
