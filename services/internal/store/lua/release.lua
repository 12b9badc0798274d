-- release: give up one's own lease.
--
-- KEYS  1 the lease
-- ARGV  1 owner
-- Reply 1 when it was the owner's, else 0
--
-- Atomic: comparison and deletion, so that nobody drops another's lease.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
