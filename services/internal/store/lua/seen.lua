-- seen: note that somebody is alive, and read who else is.
--
-- KEYS  1 a sorted set of names, scored by when they were seen last (ms)
-- ARGV  1 the name that is seen now, or '' to read only
--       2 how long ago counts as alive, in ms
--       3 after how long a name is dropped, in ms
-- Reply the names that are alive, the longest seen first
--
-- Atomic; and all times are the server's, so that the clocks of the callers do
-- not matter.

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[3])))
end
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('%.0f', now - tonumber(ARGV[2])), '+inf')
