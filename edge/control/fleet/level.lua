-- The level of limits shared by hosts: one host speaks for up to 64 limits. tests/fleet/level.py is the same as a pure
-- function, with the rules that keep level and purses together below a burst.
--
-- KEYS[1]      the epoch of the group: "<born> <server>", the Redis time (us) at which it was born, and on which run
-- KEYS[2..n]   one hash per limit: "level" = "credit at born since interval burst" (credit and interval in ns, at and
--              born in us, since in ms), and for each host "h:<host>" = "seq granted held reclaim wants" (reclaim: us)
-- ARGV[1]      the host     ARGV[2]  the server's run, as the host knows it     ARGV[3]  lease as Redis keeps it, us
-- ARGV[4..]    per limit 11: since, interval, burst, seq, ack, epoch of that answer (0: the level may have gone
--              by its age), held, back, charge, wanted, least; all whole numbers
-- returns      {epoch, now us, then per limit {granted, credit ns, interval, burst, hosts that want}}
--              granted -1: an older call, void; -2: the key is no level, and the second says what is wrong with it
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local host, server, lease = 'h:' .. ARGV[1], ARGV[2], tonumber(ARGV[3])
local born, run = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
if run ~= server then
    born = string.format('%.0f', now)
    redis.call('SET', KEYS[1], born .. ' ' .. server)
end

local function speak(key, a)
    local since, interval, burst = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    local seq, ack, known = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
    local held, back, charge = tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8])
    local wanted, least = tonumber(ARGV[a + 9]), tonumber(ARGV[a + 10])
    local flat, level, leases = redis.pcall('HGETALL', key), nil, {}
    if flat.err then
        return {-2, flat.err, '0', '0', 0}
    end
    for i = 1, #flat, 2 do
        if flat[i] == 'level' then
            level = flat[i + 1]
        else
            leases[flat[i]] = flat[i + 1]
        end
    end
    local credit, at, theirs, s, n, b = string.match(level or '', '^(%-?%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
    if theirs ~= born then
        if #flat > 0 then
            redis.call('DEL', key)
        end
        credit, at, leases = 0, tonumber(born) + lease, {}
        if not level and known == tonumber(born) then at = math.max(at, now) end
    else
        credit, at, s, n, b = tonumber(credit), tonumber(at), tonumber(s), tonumber(n), tonumber(b)
        if since <= s then
            since, interval, burst = s, n, b
        elseif n ~= interval then
            credit = math.floor(credit / n) * interval
        end
    end
    local full, out, wanting, dead, before, mine = burst * interval, 0, 0, {}, 0, nil
    for name, value in pairs(leases) do
        local q, g, h, r, w = string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
        before = before + (tonumber(h) or 0)
        if not w or tonumber(r) <= now then
            if name ~= host then dead[#dead + 1] = name end
        elseif name == host then
            mine = {tonumber(q), tonumber(g), tonumber(h), tonumber(r), tonumber(w)}
        else
            out, wanting = out + tonumber(h), wanting + tonumber(w)
        end
    end
    if now > at then
        credit = credit + math.min((now - at) * 1000, 2 * full)
        at = now
    end
    -- What was outstanding until now left no room for it to fill meanwhile.
    credit = math.min(credit, math.max(0, full - before * interval))
    local granted
    if mine and seq <= mine[1] then
        granted = seq == mine[1] and mine[2] or -1
    else
        if mine then
            if ack ~= mine[1] then
                credit, mine[3] = credit + mine[2] * interval, mine[3] - mine[2]
            end
            held = math.min(held, mine[3])
            credit = credit + math.min(back, mine[3] - held) * interval
        else
            held = 0
        end
        credit = math.min(credit, math.max(0, full - (out + held) * interval))
        credit = math.max(credit - charge * interval, math.min(credit, -full))
        local units = math.max(0, math.floor(credit / interval))
        granted = math.min(wanted, units, math.max(least, math.floor(units / (wanting + 1))))
        credit = credit - granted * interval
        mine = {seq, granted, held + granted, now + lease, wanted > 0 and 1 or 0}
        redis.call('HSET', key, host, string.format('%.0f %.0f %.0f %.0f %.0f', unpack(mine)))
    end
    credit = math.min(credit, math.max(0, full - (out + mine[3]) * interval))
    redis.call('HSET', key, 'level', string.format('%.0f %.0f %s %.0f %.0f %.0f', credit, at, born, since, interval,
                                                       burst))
    if #dead > 0 then
        redis.call('HDEL', key, unpack(dead))
    end
    redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(2 * full / 1000000) + 2 * math.ceil(lease / 1000)))
    return {granted, string.format('%.0f', credit - math.max(0, at - now) * 1000),
            string.format('%.0f', interval), string.format('%.0f', burst), wanting + mine[5]}
end

local answers = {born, string.format('%.0f', now)}
for k = 2, #KEYS do
    answers[k + 1] = speak(KEYS[k], 4 + (k - 2) * 11)
end
return answers
