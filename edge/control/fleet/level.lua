-- The level of limits shared by hosts: one host speaks for up to 64 limits. tests/fleet/level.py is the same as a pure
-- function, with the rules that keep level and purses together below a burst.
--
-- KEYS[1]      the epoch of the group: "<born> <server>", the Redis time (us) at which it was born, and on which run
-- KEYS[2..n]   one hash per limit: "level" = "credit at born interval burst interval_at burst_at" (credit and interval
--              in ns; at, born and when the numbers were said last in us), and for each host "h:<host>" = "seq granted
--              held reclaim wants" (reclaim: us)
-- ARGV[1]      the host     ARGV[2]  the server's run, as the host knows it     ARGV[3]  lease as Redis keeps it, us
-- ARGV[4..]    per limit 10: interval, burst, seq, ack, epoch of that answer (0: the level may have gone by its age),
--              held, back, charge, wanted, least; all whole numbers
-- returns      {epoch, now us, then per limit {granted, credit ns, interval, burst, hosts that want}}
--              granted -1: an older call, void; -2: the key is no level, and the second says what is wrong with it
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local host, server, lease = 'h:' .. ARGV[1], ARGV[2], tonumber(ARGV[3])
local born, run = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
if run ~= server then
    born = string.format('%d', now)
    redis.call('SET', KEYS[1], born .. ' ' .. server)
end
local LEVEL = '^(%-?%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$'
local LEASE = '^(%d+) (%d+) (%d+) (%d+) (%d+)$'

local function speak(key, a)
    local theirs, their_burst = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
    local seq, ack, known = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), ARGV[a + 4] == born
    local held, back = tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
    local charge, wanted, least = tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8]), tonumber(ARGV[a + 9])
    local flat, level = redis.pcall('HGETALL', key), nil
    if flat.err then
        return {-2, flat.err, '0', '0', 0}
    end
    local size = #flat
    for i = 1, size, 2 do
        if flat[i] == 'level' then
            level = flat[i + 1]
        end
    end
    local credit, at, of, interval, burst, interval_at, burst_at = string.match(level or '', LEVEL)
    if size > 0 and not of then
        return {-2, 'a hash that is not ours is in its place: choose another redis.prefix', '0', '0', 0}
    end
    if of == born then
        credit, at, interval, burst = tonumber(credit), tonumber(at), tonumber(interval), tonumber(burst)
        interval_at, burst_at = tonumber(interval_at), tonumber(burst_at)
    else
        credit, at = 0, (not of and known and now or tonumber(born)) + lease
        interval, burst, interval_at, burst_at = theirs, their_burst, now, now
        if of then
            redis.call('DEL', key)
            size = 0
        end
    end
    local before, out, wanting, mine, dead, last = 0, 0, 0, nil, nil, nil
    for i = 1, size, 2 do
        local name = flat[i]
        if name ~= 'level' then
            local q, g, h, r, w = string.match(flat[i + 1], LEASE)
            h, r = tonumber(h) or 0, tonumber(r) or 0
            before = before + h
            if r <= now then
                if name ~= host then
                    dead = dead or {}
                    dead[#dead + 1] = name
                end
            elseif name == host then
                mine, last = {tonumber(q), tonumber(g), h, math.min(r, now + lease), tonumber(w)}, r - lease
            else
                out, wanting = out + h, wanting + tonumber(w)
                if r > now + lease then
                    redis.call('HSET', key, name, string.format('%s %s %d %d %s', q, g, h, now + lease, w))
                end
            end
        end
    end
    at = math.min(at, now + lease)
    local full = burst * interval
    if now > at then
        credit, at = credit + math.min((now - at) * 1000, 2 * full), now
    end
    -- What was outstanding until now left no room for it to fill meanwhile.
    credit = math.min(credit, math.max(0, full - before * interval))
    -- Of different numbers the smaller ones rule, until nobody has said them for two leases. Units stay units.
    if theirs >= interval or interval_at + 2 * lease <= now or interval_at > now then
        if theirs ~= interval then
            credit = math.floor(credit / interval) * theirs
        end
        interval, interval_at = theirs, now
    end
    if their_burst <= burst or burst_at + 2 * lease <= now or burst_at > now then
        burst, burst_at = their_burst, now
    end
    full = burst * interval
    local granted
    if mine and seq <= mine[1] then
        granted = seq == mine[1] and mine[2] or -1
    else
        if mine then
            if ack ~= mine[1] then
                credit, mine[3] = credit + mine[2] * interval, mine[3] - mine[2]
            end
            held = known and held or math.min(held, mine[3])
            credit = credit + math.min(back, math.max(0, mine[3] - held)) * interval
        elseif not known then
            held = 0
        end
        credit = math.min(credit, math.max(0, full - (out + held) * interval))
        credit = math.max(credit - charge * interval, math.min(credit, -full))
        local units = math.max(0, math.floor(credit / interval))
        granted = math.min(wanted, units, math.max(least, math.floor(units / (wanting + 1))))
        credit = credit - granted * interval
        mine = {seq, granted, held + granted, now + lease, wanted > 0 and 1 or 0}
    end
    credit = math.min(credit, math.max(0, full - (out + mine[3]) * interval))
    redis.call('HSET', key, 'level', string.format('%d %d %s %d %d %d %d', credit, at, born, interval,
                                                       burst, interval_at, burst_at),
               host, string.format('%d %d %d %d %d', unpack(mine)))
    if dead then
        redis.call('HDEL', key, unpack(dead))
    end
    -- For a level's time and two leases from its last word on; said once in such a time.
    local time = math.ceil(2 * full / 1000) + 2 * lease
    if not last or math.floor(last / time) ~= math.floor(now / time) then
        redis.call('PEXPIRE', key, string.format('%d', math.ceil(time / 500)))
    end
    return {granted, string.format('%d', credit - math.max(0, at - now) * 1000),
            string.format('%d', interval), string.format('%d', burst), wanting + mine[5]}
end

local answers = {born, string.format('%d', now)}
for k = 2, #KEYS do
    answers[k + 1] = speak(KEYS[k], 4 + (k - 2) * 10)
end
return answers
