-- The level of limits shared by hosts: one host says that it lives, and speaks for up to 64 limits.
-- tests/fleet/level.py is the same as pure functions, with the rules that keep level and purses together below a burst.
--
-- KEYS[1]      the epoch of the group: "<born> <server>", the Redis time (us) at which it was born, and on which run
-- KEYS[2]      a hash, the lives of hosts: "<host>" = "life until": since when (us) the host has spoken without a gap,
--              which is the life's name, too, and when its silence ends it
-- KEYS[3..n]   one string per limit: MAGIC, doubles credit at born interval burst interval_at burst_at (credit and
--              interval in ns; at, born and when the numbers were said last in us), and for each host its name after
--              its length, and doubles seq granted held life reclaim wants (reclaim: us)
-- ARGV[1]      the host   ARGV[2]  the server's run, as the host knows it
-- ARGV[3]      how long a life goes on without a word, and a lease within a life, as Redis keeps them: ARGV[4], us
-- ARGV[5..]    per limit 10 doubles: interval, burst, seq, ack, life of that answer (0: the level may have gone by its
--              age), held, back, charge, wanted, least; all whole numbers
-- returns      {life, now us, then per limit "granted credit interval burst hosts": credit in ns, hosts that want}
--              granted -1: an older call, void; -2: the key is no level, and the rest says what is wrong with it
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local host, server, silence, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local born, run = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
local NOBODY = ''
local lives = {[NOBODY] = 0}

local function life_of(name)            -- 0: it does not live
    if lives[name] == nil then
        local life, till = string.match(redis.call('HGET', KEYS[2], name) or '', '^(%d+) (%d+)$')
        if not life or tonumber(till) <= now then
            life = 0
            if name ~= host then
                redis.call('HDEL', KEYS[2], name)       -- or a clock that is put back would revive it
            end
        elseif tonumber(till) > now + silence then
            redis.call('HSET', KEYS[2], name, string.format('%s %d', life, now + silence))
        end
        lives[name] = tonumber(life)
    end
    return lives[name]
end

-- Whoever loses what is known of lives has lost an epoch.
if run ~= server or life_of(host) == 0 and redis.call('EXISTS', KEYS[2]) == 0 then
    born = now
    redis.call('SET', KEYS[1], string.format('%d %s', now, server))
    redis.call('DEL', KEYS[2])
    lives = {[NOBODY] = 0, [host] = 0}
end
born = tonumber(born)
local life = life_of(host) > 0 and life_of(host) or now
lives[host] = life
redis.call('HSET', KEYS[2], host, string.format('%d %d', life, now + silence))
redis.call('EXPIRE', KEYS[2], 3600)

local MAGIC, LEVEL, LEASE = 'edge lvl', '<c8ddddddd', '<Bc0dddddd'
local HEAD = struct.size(LEVEL)
local HASH = '^%-?%d+ %d+ %d+ %d+ %d+ %d+ %d+$'
local min, max, floor, pack, unpack = math.min, math.max, math.floor, struct.pack, struct.unpack

local function speak(key, said)
    local theirs, their_burst, seq, ack, known, held, back, charge, wanted, least = unpack('<dddddddddd', said)
    local kept, size, rest = redis.pcall('GET', key), 0, born + silence
    local credit, at, of, interval, burst, interval_at, burst_at, _
    known = known == life
    if type(kept) == 'table' then
        -- Of the version before this one, which lent for as long as a silence lasts.
        local hash = redis.pcall('HGET', key, 'level')
        if type(hash) ~= 'string' or not string.match(hash, HASH) then
            return '-2 ' .. kept.err
        end
        redis.call('DEL', key)
        of, rest = 0, now + silence
    elseif kept then
        size = #kept
        if size < HEAD or string.sub(kept, 1, 8) ~= MAGIC then
            return '-2 a string that is not ours is in its place: choose another redis.prefix'
        end
        _, credit, at, of, interval, burst, interval_at, burst_at = unpack(LEVEL, kept)
    end
    local before, out, wanting = 0, 0, 0
    local mine_seq, mine_granted, mine_held, mine_reclaim, mine_wants
    local leases, i = {'', ''}, HEAD + 1
    if of ~= born then
        credit, at, interval, burst, interval_at, burst_at, size = 0, rest, theirs, their_burst, now, now, 0
        if not of and known then
            at, out = now, burst        -- nobody knows who has how much
            leases[3] = pack(LEASE, 0, NOBODY, 0, 0, burst, 0, now + lease, 0)
        end
    end
    while i <= size and i + string.byte(kept, i) + 48 <= size do       -- what is no lease is thrown away
        local name, q, g, h, l, r, w, after = unpack(LEASE, kept, i)
        before = before + h
        if r > now and l == life_of(name) then
            if name == host then
                mine_seq, mine_granted, mine_held, mine_reclaim, mine_wants = q, g, h, min(r, now + lease), w
            else
                out = out + h
                if r > now + lease - silence then
                    wanting = wanting + w
                end
                if r > now + lease then
                    leases[#leases + 1] = pack(LEASE, #name, name, q, g, h, l, now + lease, w)
                else
                    leases[#leases + 1] = string.sub(kept, i, after - 1)
                end
            end
        end
        i = after
    end
    at = min(at, now + silence)
    local full = burst * interval
    if now > at then
        credit, at = credit + min((now - at) * 1000, 2 * full), now
    end
    -- What was outstanding until now left no room for it to fill meanwhile.
    credit = min(credit, max(0, full - before * interval))
    -- Of different numbers the smaller ones rule, until nobody has said them for two lives' silence. Units stay units.
    if theirs >= interval or interval_at + 2 * silence <= now or interval_at > now then
        if theirs ~= interval then
            credit = floor(credit / interval) * theirs
        end
        interval, interval_at = theirs, now
    end
    if their_burst <= burst or burst_at + 2 * silence <= now or burst_at > now then
        burst, burst_at = their_burst, now
    end
    full = burst * interval
    local granted
    if mine_seq and seq <= mine_seq then
        granted = seq == mine_seq and mine_granted or -1
    else
        if mine_seq then
            if ack ~= mine_seq then
                credit, mine_held = credit + mine_granted * interval, mine_held - mine_granted
            end
            held = known and held or min(held, mine_held)
            credit = credit + min(back, max(0, mine_held - held)) * interval
        elseif not known then
            held = 0
        end
        credit = min(credit, max(0, full - (out + held) * interval))
        credit = max(credit - charge * interval, min(credit, -full))
        local units = max(0, floor(credit / interval))
        granted = min(wanted, units, max(least, floor(units / (wanting + 1))))
        credit = credit - granted * interval
        mine_seq, mine_granted, mine_held, mine_reclaim = seq, granted, held + granted, now + lease
        mine_wants = wanted > 0 and 1 or 0
    end
    credit = min(credit, max(0, full - (out + mine_held) * interval))
    leases[1] = pack(LEVEL, MAGIC, credit, at, born, interval, burst, interval_at, burst_at)
    leases[2] = pack(LEASE, #host, host, mine_seq, mine_granted, mine_held, life, mine_reclaim, mine_wants)
    -- For twice a level's time and two leases from its last word on.
    redis.call('SET', key, table.concat(leases), 'PX', math.ceil(2 * full / 1000000 + 2 * lease / 1000))
    return string.format('%d %d %d %d %d', granted, credit - max(0, at - now) * 1000, interval, burst,
                         wanting + mine_wants)
end

local answers = {string.format('%d', life), string.format('%d', now)}
for k = 3, #KEYS do
    answers[k] = speak(KEYS[k], ARGV[k + 2])
end
return answers
