-- create: make the meta of a canvas, or read what is there.
--
-- KEYS  1-4 see state.lua
-- ARGV  1 width, 2 height, 3 background (#RRGGBB), 4 a fresh random epoch
-- Reply {created ('1' or '0'), width, height, background, epoch, created at ms}
--
-- Atomic: of many processes that create a canvas, one does. A canvas without
-- meta is blank, so remains of an earlier one go.

local meta = redis.call('HMGET', META, 'width', 'height', 'background', 'epoch', 'created')
if meta[4] then
  return {'0', meta[1], meta[2], meta[3], meta[4], meta[5]}
end
local clock = redis.call('TIME')
local now = text(tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000))
redis.call('DEL', META, HEAD, LOG, CHECKPOINT)
redis.call('HSET', META, 'width', ARGV[1], 'height', ARGV[2], 'background', ARGV[3],
  'epoch', ARGV[4], 'run', server_run(), 'created', now, 'time', '0')
return {'1', ARGV[1], ARGV[2], ARGV[3], ARGV[4], now}
