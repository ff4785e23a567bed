"""The spill's Lua scripts. Redis runs each one whole or not at all, also when it replays its append-only file.

Keys: the stream, the sum of its entries' sizes, the stream of bad entries. Every key that a script uses is among KEYS:
a node of a Redis Cluster that gives its keys to another one just now then refuses the script before it begins.
"""

from typing import Final

PUT: Final = """
local size = tonumber(ARGV[2])
if tonumber(redis.call('GET', KEYS[2]) or '0') + size > tonumber(ARGV[3]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'group', ARGV[1], 'size', size)
redis.call('INCRBY', KEYS[2], size)
for i = 4, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[4]) end
return 1
"""
"""Adds an entry and remembers its request ids, whose keys come after the first three. ARGV: entry, its size, the most
bytes of all entries, seconds to remember ids, then the value of each id. Returns 0 if the spill is full.

A Redis without free memory refuses the first write, so then nothing is written."""

REMOVE: Final = """
local removed = 0
for i = 1, #ARGV, 2 do
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    redis.call('DECRBY', KEYS[2], ARGV[i + 1])
    removed = removed + 1
  end
end
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
return removed
"""
"""Removes stored entries and their request ids, whose keys come after the first three. ARGV: pairs of entry id and
size. Returns the number of entries removed; a second call removes none."""

SET_ASIDE: Final = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DECRBY', KEYS[2], ARGV[2])
redis.call('XADD', KEYS[3], '*', 'group', ARGV[3], 'reason', ARGV[4])
return 1
"""
"""Moves an entry to the stream of bad entries. ARGV: entry id, size, content, reason. It deletes first: for lack of
memory, Redis refuses only the first write of a script, and it never refuses a deletion."""

STATE: Final = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local time = redis.call('TIME')
return {
  redis.call('XLEN', KEYS[1]), tonumber(redis.call('GET', KEYS[2]) or '0'), redis.call('XLEN', KEYS[3]),
  first and first[1] or '', time[1] * 1000 + math.floor(time[2] / 1000)
}
"""
"""Returns the number of entries, their bytes, the number of bad entries, the oldest entry's id, and the server's time
in ms. The server made that id from its time."""

MOVE: Final = """
local function field(entry, name)
  for i = 1, #entry[2], 2 do if entry[2][i] == name then return entry[2][i + 1] end end
  return ''
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', ARGV[1])) do
  local size = tonumber(field(entry, 'size')) or 0
  redis.call('XDEL', KEYS[4], entry[1])
  redis.call('DECRBY', KEYS[5], size)
  redis.call('XADD', KEYS[1], '*', 'group', field(entry, 'group'), 'size', size)
  redis.call('INCRBY', KEYS[2], size)
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[6], '-', '+', 'COUNT', ARGV[1])) do
  redis.call('XDEL', KEYS[6], entry[1])
  redis.call('XADD', KEYS[3], '*', 'group', field(entry, 'group'), 'reason', field(entry, 'reason'))
end
if redis.call('XLEN', KEYS[4]) == 0 then redis.call('DEL', KEYS[4], KEYS[5]) end
if redis.call('XLEN', KEYS[6]) == 0 then redis.call('DEL', KEYS[6]) end
return 1
"""
"""Moves entries to their new keys: the stream, the sum and the stream of bad entries; KEYS[4] to KEYS[6] are the old
ones. ARGV: the most entries to move. It deletes each entry first, as SET_ASIDE does. Request ids stay where they are
and expire: the store knows each id that it has stored."""

RENEW: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Takes or renews a lease. ARGV: token, milliseconds. It deletes first, as SET_ASIDE does: the spill must be drained
also when Redis has no free memory."""

RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"
