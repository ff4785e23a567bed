"""The spill's Lua scripts: each is done as a whole or not at all, also in the append-only file.

Keys: the stream, the sum of the sizes of its entries, the stream of bad entries.
"""

from typing import Final

PUT: Final = """
local size = tonumber(ARGV[2])
if tonumber(redis.call('GET', KEYS[2]) or '0') + size > tonumber(ARGV[3]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'group', ARGV[1], 'size', size)
redis.call('INCRBY', KEYS[2], size)
for i = 6, #ARGV, 2 do redis.call('SET', ARGV[5] .. ARGV[i], ARGV[i + 1], 'EX', ARGV[4]) end
return 1
"""
"""ARGV: entry, its size, the bound, seconds to remember ids, the prefix of their keys, then id and value in turn.
The first write is the one that a full memory refuses, so a refusal leaves nothing. Returns 0 when over the bound."""

REMOVE: Final = """
local removed = 0
for i = 3, 2 + 2 * tonumber(ARGV[2]), 2 do
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    redis.call('DECRBY', KEYS[2], ARGV[i + 1])
    removed = removed + 1
  end
end
for i = 3 + 2 * tonumber(ARGV[2]), #ARGV do redis.call('DEL', ARGV[1] .. ARGV[i]) end
return removed
"""
"""ARGV: the prefix of the keys of ids, how many entries, then entry and size in turn, then ids. Asked twice it is
done once."""

SET_ASIDE: Final = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DECRBY', KEYS[2], ARGV[2])
redis.call('XADD', KEYS[3], '*', 'group', ARGV[3], 'reason', ARGV[4])
return 1
"""
"""ARGV: entry, size, content, reason. Deletes first: what follows a write is not refused by a full memory."""

STATE: Final = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local time = redis.call('TIME')
return {
  redis.call('XLEN', KEYS[1]), tonumber(redis.call('GET', KEYS[2]) or '0'), redis.call('XLEN', KEYS[3]),
  first and first[1] or '', time[1] * 1000 + math.floor(time[2] / 1000)
}
"""
"""Entries, bytes, bad entries, the oldest entry's id, and the server's time in ms, by which that id was made."""

RENEW: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Takes or keeps a lease. ARGV: token, milliseconds. Deletes first, as above: a full spill must be drained."""

RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"
