-- The places of limits of concurrent requests that hosts share: one host speaks for up to 64 limits. It begins with
-- lives.lua. tests/fleet/places.py is the same as a pure function, with the rules that keep all that hosts may fill
-- together within a limit.
--
-- KEYS[3..n]   one hash per limit: "limit" = "born rest most most_at" (rest: until then nothing is granted beyond what
--              hosts have; most_at: when it was said last; us), and for each host "h:<host>" = "seq granted held need
--              reclaim" (us: it outlasts the host's life, as its requests may do that)
-- ARGV[5..]    per limit 6: most, seq, life of the last answer (0: its lease is over), held (what the host has and may
--              take until it hears more), need (what it uses, and what it has missed), wanted (need and some ahead); all
--              whole numbers
-- returns      {life, now us, then per limit {granted, left, most, claims, rest}}: granted is all that the host may
--              have from now on, less than held if it is to give places back; left and claims are what nobody holds,
--              and what others lack of their due; rest is us
--              granted -1: an older call, void; -2: the key is none of ours, and the second says what is wrong with it
local TURN = 2000000        -- us for which what cannot be divided is one host's, and then the next one's

-- Sets what each host is due: its need, or a fair part where all needs are more than there is.
local function entitle(hosts, most)
    local total, rest, short, low = 0, most, hosts, 0
    for _, each in ipairs(hosts) do
        total = total + each.need
        each.due = each.need
    end
    if total <= most then
        return
    end
    repeat
        local before, above = short, {}
        low = math.floor(rest / #before)
        for _, each in ipairs(before) do
            if each.need > low then
                above[#above + 1] = each
            else
                rest = rest - each.need
            end
        end
        short = above
    until #short == #before
    table.sort(short, function(a, b) return a.name < b.name end)
    local spare, turn = rest - low * #short, math.floor(now / TURN)
    for i, each in ipairs(short) do
        each.due = low + ((i - 1 - turn) % #short < spare and 1 or 0)
    end
end

local function speak(key, a)
    local most, seq, known = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]) == life
    local held, need, wanted = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
    local flat, fields = redis.pcall('HGETALL', key), {}
    if flat.err then
        return {-2, flat.err, 0, 0, 0}
    end
    for i = 1, #flat, 2 do
        fields[flat[i]] = flat[i + 1]
    end
    local of, rest, before, most_at = string.match(fields.limit or '', '^(%d+) (%d+) (%d+) (%d+)$')
    if #flat > 0 and not of then
        return {-2, 'a hash that is not ours is in its place: choose another redis.prefix', 0, 0, 0}
    end
    if tonumber(of) ~= born then
        rest, most_at, fields = not of and known and now + lease or born + silence, now, {}
        if of then
            redis.call('DEL', key)
        end
    else
        rest, before, most_at = math.min(tonumber(rest), now + lease), tonumber(before), tonumber(most_at)
        -- Of different numbers the smaller one rules, until nobody has said it for a lease.
        if most <= before or most_at + lease <= now or most_at > now then
            most_at = now
        else
            most = before
        end
    end
    local hosts, mine, free, dead = {}, nil, most, {}
    for field, value in pairs(fields) do
        local name = string.match(field, '^h:(.*)$')
        local q, g, h, n, r = string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
        if name and (not r or tonumber(r) <= now) then
            if name ~= host then dead[#dead + 1] = field end
        elseif name == host then
            mine = {seq = tonumber(q), granted = tonumber(g), held = tonumber(h), need = tonumber(n)}
        elseif name then
            if tonumber(r) > now + lease then       -- Redis's clock was put back
                redis.call('HSET', key, field, string.format('%s %s %s %s %.0f', q, g, h, n, now + lease))
            end
            hosts[#hosts + 1] = {name = name, held = tonumber(h), need = tonumber(n)}
            free = free - tonumber(h)
        end
    end
    local heard = not mine or seq > mine.seq
    local us = {name = host, held = heard and held or mine.held, need = heard and need or mine.need}
    hosts[#hosts + 1] = us
    entitle(hosts, most)
    local claims = -math.max(0, us.due - us.held)
    for _, each in ipairs(hosts) do
        claims = claims + math.max(0, each.due - each.held)
    end
    local granted
    if not heard then
        granted = seq == mine.seq and mine.granted or -1
    else
        local top = now < rest and held or math.max(us.due, free - claims)
        granted = math.max(0, math.min(wanted, free, top))
        us.held = math.max(held, granted)
        redis.call('HSET', key, 'limit', string.format('%.0f %.0f %.0f %.0f', born, rest, most, most_at), 'h:' .. host,
                   string.format('%.0f %.0f %.0f %.0f %.0f', seq, granted, us.held, need, now + lease))
        redis.call('PEXPIRE', key, string.format('%.0f', 2 * math.ceil(lease / 1000)))
    end
    if #dead > 0 then
        redis.call('HDEL', key, unpack(dead))
    end
    return {granted, free - us.held, most, claims, math.max(0, rest - now)}
end

local answers = {string.format('%d', life), string.format('%d', now)}
for k = 3, #KEYS do
    answers[k] = speak(KEYS[k], 5 + (k - 3) * 6)
end
return answers
