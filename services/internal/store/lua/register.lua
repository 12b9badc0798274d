-- register: give a canvas a place among those that exist.
--
-- KEYS  1 the sorted set of canvases (score: when they were registered, ms)
-- ARGV  1 the canvas's id, 2 the greatest number of canvases, '0' = no maximum
-- Reply 1, or 0 when the maximum exists already
--
-- Atomic: counting and adding, so that a maximum holds under concurrency. The
-- set lives in another slot than the canvas: the place is taken first, and a
-- canvas whose creation then fails keeps it until somebody creates it again.

if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 1
end
local maximum = tonumber(ARGV[2])
if maximum > 0 and redis.call('ZCARD', KEYS[1]) >= maximum then
  return 0
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
return 1
