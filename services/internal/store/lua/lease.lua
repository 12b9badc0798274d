-- lease: take a lease or prolong one's own.
--
-- KEYS  1 the lease
-- ARGV  1 owner, 2 time to live in ms
-- Reply 1 when the owner holds it now, else 0
--
-- Atomic: comparison and prolongation.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
