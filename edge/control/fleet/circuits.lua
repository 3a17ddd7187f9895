-- Circuit breakers and resting provider keys, as the hosts of a fleet have found them. tests/fleet/breakers.py is the same
-- as a pure function.
--
-- KEYS[1]   a hash: target -> "generation state since until prober lease voters": state is open or closed, times are
--           Redis's in us, voters are hosts between commas; prober is - while nobody probes
-- KEYS[2]   a hash: a provider's key for a target -> "until condition"
-- KEYS[3]   a hash: target -> "number said": an operator's word, 0 where it was taken back, and when it was given
-- ARGV[1]   the host     ARGV[2]  how long a probe is lent, us     ARGV[3]  how long a closed one is told of, us
-- ARGV[4..] per word 4: what, of what, a number, another one
--             open   target  us that it stays so   generation that is known
--             close  target  0                     generation that was open
--             probe  target  0                     generation that is open
--             rest   key     us that it rests      condition
--             force  target  number of the word    us since it was given
-- returns   {now us, then per target: target, generation, state, until, voters, prober (- for nobody)},
--           {per key: key, until, condition}, {per operator's word: target, number, said}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local host, lease, told = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local REMEMBERED = 86400000000      -- us for which a word that was taken back is told of

local function read(target)
    local text = redis.call('HGET', KEYS[1], target)
    local g, s, since, u, p, l, v = string.match(text or '', '^(%d+) (%a+) (%d+) (%d+) (%S+) (%d+) (%S+)$')
    if not g then
        return {0, 'closed', 0, 0, '-', 0, ','}
    end
    return {tonumber(g), s, tonumber(since), tonumber(u), p, tonumber(l), v}
end

local function write(target, r)
    redis.call('HSET', KEYS[1], target, string.format('%.0f %s %.0f %.0f %s %.0f %s', unpack(r)))
end

for a = 4, #ARGV, 4 do
    local what, name, number, other = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    if what == 'rest' then
        local known = tonumber(string.match(redis.call('HGET', KEYS[2], name) or '', '^(%d+) ') or '0')
        if now + number > known then
            redis.call('HSET', KEYS[2], name, string.format('%.0f %.0f', now + number, other))
        end
    elseif what == 'force' then
        local known = tonumber(string.match(redis.call('HGET', KEYS[3], name) or '', '^%d (%d+)$') or '0')
        if now - other >= known then
            redis.call('HSET', KEYS[3], name, string.format('%.0f %.0f', number, now - other))
        end
    else
        local r = read(name)
        local lent = r[6] > now
        local failed = other == r[1] and lent and r[5] == host
        if what == 'open' and r[2] == 'open' and not failed and (r[4] > now or lent or other < r[1]) then
            if not string.find(r[7], ',' .. host .. ',', 1, true) then
                r[7] = r[7] .. host .. ','
            end
            r[4] = math.max(r[4], now + number)
            write(name, r)
        elseif what == 'open' then
            write(name, {r[1] + 1, 'open', now, now + number, '-', 0, ',' .. host .. ','})
        elseif what == 'close' and r[2] == 'open' and other == r[1] then
            write(name, {r[1] + 1, 'closed', now, now, '-', 0, ',' .. host .. ','})
        elseif what == 'probe' and r[2] == 'open' and other == r[1] and r[4] <= now
                and (r[5] == host or r[6] <= now) then
            r[5], r[6] = host, now + lease
            write(name, r)
        end
    end
end

local circuits, rests, orders = {string.format('%.0f', now)}, {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
    local r = read(flat[i])
    if r[2] == 'closed' and r[3] + told <= now then
        redis.call('HDEL', KEYS[1], flat[i])
    else
        local prober = r[6] > now and r[5] or '-'
        for _, value in ipairs({flat[i], string.format('%.0f', r[1]), r[2], string.format('%.0f', r[4]), r[7], prober}) do
            circuits[#circuits + 1] = value
        end
    end
end
flat = redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do
    local u, c = string.match(flat[i + 1], '^(%d+) (%d+)$')
    if not u or tonumber(u) <= now then
        redis.call('HDEL', KEYS[2], flat[i])
    else
        rests[#rests + 1], rests[#rests + 2], rests[#rests + 3] = flat[i], u, c
    end
end
flat = redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
    local n, s = string.match(flat[i + 1], '^(%d) (%d+)$')
    if not n or n == '0' and tonumber(s) + REMEMBERED <= now then
        redis.call('HDEL', KEYS[3], flat[i])
    else
        orders[#orders + 1], orders[#orders + 2], orders[#orders + 3] = flat[i], n, s
    end
end
return {circuits, rests, orders}
