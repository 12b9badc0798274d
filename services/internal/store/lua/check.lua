-- check: the same checks as append, without appending.
--
-- KEYS  1-4 see state.lua
-- ARGV  1 the caller's epoch, 2 the highest seq that it has seen,
--       3 a fresh random epoch
-- Reply missing, run, stale: see admit in state.lua
--       {'ok', epoch, head}
--
-- Atomic: the epoch is compared, and changed where the log is behind what the
-- caller has seen, in one step.

local refused, head = admit(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
return {'ok', ARGV[1], text(head)}
