-- epoch: note that another run of the server holds the canvas now, and begin a
-- new epoch unless it is known that nothing can have been lost.
--
-- KEYS  1-4 see state.lua
-- ARGV  1 the run that meta named, 2 the run that the server named,
--       3 a fresh random epoch, or '' to keep the epoch
-- Reply {'missing'}  there is no such canvas
--       {'raced'}    meta or the server names another run by now: ask again
--       {'ok', epoch, head}
--
-- Atomic: compare-and-set on meta's run. Of many processes that notice, one
-- changes the epoch.

local meta = redis.call('HMGET', META, 'epoch', 'run')
if not meta[1] then
  return {'missing'}
end
if (meta[2] or '') ~= ARGV[1] or server_run() ~= ARGV[2] then
  return {'raced'}
end
local head = log_head()
redis.call('HSET', META, 'run', ARGV[2])
if ARGV[3] == '' then
  return {'ok', meta[1], text(head)}
end
install(ARGV[3], head)
return {'ok', ARGV[3], text(head)}
