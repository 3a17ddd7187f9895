-- The level of limits shared by hosts: one host speaks for up to 64 limits. level.py is the same as a pure function.
--
-- KEYS[1]      the epoch of the group: a string, the Redis time (µs) at which it was born
-- KEYS[2..n]   one hash per limit: credit (ns), at (µs), and a field "h:<host>" = "seq granted held reclaim wants"
-- ARGV[1]      the host, new at each boot     ARGV[2]  lease as Redis keeps it, µs
-- ARGV[3..]    per limit 7: interval (ns per unit), burst, seq, ack, held, back, wanted; all whole numbers
-- returns      {epoch, then per limit {granted, left, wait µs, hosts that want}}; granted -1: an older call, void
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local host, lease = 'h:' .. ARGV[1], tonumber(ARGV[2])
local born = tonumber(redis.call('GET', KEYS[1]))
if not born then
    born = now
    redis.call('SET', KEYS[1], string.format('%.0f', born))
end
local answers = {string.format('%.0f', born)}
for k = 2, #KEYS do
    local a = 3 + (k - 2) * 7
    local interval, burst, seq = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    local ack, held, back = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
    local wanted = tonumber(ARGV[a + 6])
    local flat, credit, at, mine = redis.call('HGETALL', KEYS[k]), 0, born + lease, nil
    local out, wanting, dead, before = 0, 0, {}, 0
    for i = 1, #flat, 2 do
        local name, value = flat[i], flat[i + 1]
        if name == 'credit' then
            credit = tonumber(value)
        elseif name == 'at' then
            at = tonumber(value)
        else
            local s, g, h, r, w = string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
            before = before + tonumber(h)
            if tonumber(r) <= now then
                if name ~= host then dead[#dead + 1] = name end
            elseif name == host then
                mine = {tonumber(s), tonumber(g), tonumber(h), tonumber(r), tonumber(w)}
            else
                out, wanting = out + tonumber(h), wanting + tonumber(w)
            end
        end
    end
    local full = burst * interval
    if now > at then
        credit = credit + math.min((now - at) * 1000, full)
        at = now
    end
    -- What was outstanding until now left no room for it to fill meanwhile.
    credit = math.max(0, math.min(credit, full - before * interval))
    local granted
    if mine and seq <= mine[1] then
        granted = seq == mine[1] and mine[2] or -1
    else
        if mine then
            if ack ~= mine[1] then
                credit, mine[3] = credit + mine[2] * interval, mine[3] - mine[2]
            end
            held = math.min(held, mine[3])
            back = math.min(back, mine[3] - held)
            credit = credit + back * interval
        else
            held = 0
        end
        credit = math.max(0, math.min(credit, full - (out + held) * interval))
        local units = math.floor(credit / interval)
        granted = math.min(wanted, units, math.max(1, math.floor(units / (wanting + 1))))
        credit = credit - granted * interval
        mine = {seq, granted, held + granted, now + lease, wanted > 0 and 1 or 0}
        redis.call('HSET', KEYS[k], host, string.format('%.0f %.0f %.0f %.0f %.0f', unpack(mine)))
    end
    credit = math.max(0, math.min(credit, full - (out + mine[3]) * interval))
    redis.call('HSET', KEYS[k], 'credit', string.format('%.0f', credit), 'at', string.format('%.0f', at))
    if #dead > 0 then
        redis.call('HDEL', KEYS[k], unpack(dead))
    end
    redis.call('PEXPIRE', KEYS[k], string.format('%.0f', math.ceil(full / 1000000) + 2 * math.ceil(lease / 1000)))
    local left = math.floor(credit / interval)
    local wait = left > 0 and 0 or math.ceil((interval - credit) / 1000) + math.max(0, at - now)
    answers[k] = {granted, left, wait, wanting + mine[5]}
end
return answers
