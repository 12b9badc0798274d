-- What the scripts of one canvas share. It is put in front of each of them,
-- since Redis has no modules. It reads and writes nothing by itself.
--
-- KEYS of every script that begins with it, all with the hash tag {canvas:ID}:
--   1 meta        hash: width, height, background, epoch, run, created, time
--   2 head        string: the last seq
--   3 log         stream: one entry per append, id <last seq>-0
--   4 checkpoint  hash
--
-- A script that fails half-way is not rolled back. Whoever writes more than
-- once therefore makes all checks first.

local META, HEAD, LOG, CHECKPOINT = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- text gives a number as decimal digits. tostring would print 2^53 as
-- 9.007e15; %.0f is exact for every whole number up to there.
local function text(n)
  return string.format('%.0f', n)
end

-- server_run is the id that the server took when it started, or '' when it
-- will not tell (no INFO, no permission).
local function server_run()
  local info = redis.pcall('INFO', 'server')
  if type(info) ~= 'string' then
    return ''
  end
  return string.match(info, 'run_id:(%x+)') or ''
end

-- log_head is the last seq. Should the key be gone while the log is not, the
-- log knows: an append must never count from 1 again.
local function log_head()
  local head = redis.call('GET', HEAD)
  if head then
    return tonumber(head)
  end
  local last = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', '1')
  if last[1] then
    return tonumber(string.match(last[1][1], '^%d+'))
  end
  return 0
end

-- install begins a new history at head. The checkpoint goes with it when the
-- log reaches that far; one from beyond head shows what the log has lost.
local function install(epoch, head)
  local seq = redis.call('HGET', CHECKPOINT, 'seq')
  redis.call('HSET', META, 'epoch', epoch)
  if seq then
    if tonumber(seq) > head then
      redis.call('DEL', CHECKPOINT)
    else
      redis.call('HSET', CHECKPOINT, 'epoch', epoch)
    end
  end
end

-- admit makes the checks that come before an append. It returns the script's
-- reply when the caller may not go on, else nil and the head.
--   {'missing'}                 there is no such canvas
--   {'run', known, actual}      the server is not the run that meta names:
--                               what this caller saw may be lost
--   {'stale', epoch, head}      the history is another than the caller's
-- A head behind what the caller has seen proves a loss: the caller's candidate
-- becomes the epoch, and the caller, as everybody, must adopt it.
local function admit(epoch, seen, candidate)
  local meta = redis.call('HMGET', META, 'epoch', 'run')
  if not meta[1] then
    return {'missing'}
  end
  local run = server_run()
  if run ~= (meta[2] or '') then
    return {'run', meta[2] or '', run}
  end
  local head = log_head()
  if meta[1] ~= epoch then
    return {'stale', meta[1], text(head)}
  end
  if head < tonumber(seen) then
    install(candidate, head)
    return {'stale', candidate, text(head)}
  end
  return nil, head
end
