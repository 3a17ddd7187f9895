-- The hosts of a fleet: one says that it lives, and hears who else does.
--
-- KEYS[1]   a hash: host -> "<Redis time of its last word, us> <its note>"
-- ARGV[1]   the host     ARGV[2]  how long a word is good for, us     ARGV[3]  its note, any text
-- returns   {now us, then for each living host: its name, us since its word, its note}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[3])
redis.call('EXPIRE', KEYS[1], 3600)
local flat, answer = redis.call('HGETALL', KEYS[1]), {string.format('%.0f', now)}
for i = 1, #flat, 2 do
    local at, note = string.match(flat[i + 1], '^(%d+) (.*)$')
    local age = at and now - tonumber(at) or tonumber(ARGV[2])
    if age >= tonumber(ARGV[2]) then
        redis.call('HDEL', KEYS[1], flat[i])
    else
        answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = flat[i], string.format('%.0f', age), note
    end
end
return answer
