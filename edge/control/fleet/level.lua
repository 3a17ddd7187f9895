-- The level of limits shared by hosts: one host speaks for up to 64 of them. It begins with lives.lua.
-- tests/fleet/level.py is the same as pure functions, with the rules that keep level and purses together below a burst.
--
-- KEYS[3..n]   one string per limit: MAGIC, doubles credit at born interval burst interval_at burst_at (credit and
--              interval in ns; at, born and when the numbers were said last in us), and for each host its name after
--              its length, and doubles seq granted charged held life reclaim wants (reclaim: us)
-- ARGV[5..]    per limit 10 doubles: interval, burst, seq, ack, life of that answer (0: the level may have gone by its
--              age), held, back, charge, wanted, least; all whole numbers
-- returns      {life, now us, then per limit "granted credit interval burst hosts": credit in ns, hosts that want}
--              granted -1: an older call, void; -2: the key is no level, and the rest says what is wrong with it
local MAGIC, LEVEL, LEASE = 'edge lvm', '<c8ddddddd', '<Bc0ddddddd'
local HEAD = struct.size(LEVEL)
local min, max, floor, pack, unpack = math.min, math.max, math.floor, struct.pack, struct.unpack

local function speak(key, said)
    local theirs, their_burst, seq, ack, known, held, back, charge, wanted, least = unpack('<dddddddddd', said)
    local kept, size, rest = redis.pcall('GET', key), 0, born + silence
    local credit, at, of, interval, burst, interval_at, burst_at, _
    known = known == life
    local lost = not kept and known
    if type(kept) == 'table' then
        return '-2 ' .. kept.err
    elseif kept then
        size = #kept
        local magic = string.sub(kept, 1, 8)
        if size < HEAD or string.sub(magic, 1, 7) ~= string.sub(MAGIC, 1, 7) then
            return '-2 a string that is not ours is in its place: choose another redis.prefix'
        elseif magic > MAGIC then
            return '-2 hosts of a newer version of edge share it: it goes by its policy here until this one is upgraded'
        end
        _, credit, at, of, interval, burst, interval_at, burst_at = unpack(LEVEL, kept)
        lost = magic < MAGIC            -- to a version before this one: its hosts cannot read it any more
    end
    local before, out, wanting = 0, 0, 0
    local mine_seq, mine_granted, mine_charged, mine_held, mine_reclaim, mine_wants
    local leases, i = {'', ''}, HEAD + 1
    if of ~= born or lost then
        credit, at, interval, burst, interval_at, burst_at, size = 0, rest, theirs, their_burst, now, now, 0
        if lost then
            at, out = now, burst        -- nobody knows who has how much
            leases[3] = pack(LEASE, 0, NOBODY, 0, 0, 0, burst, 0, now + lease, 0)
        end
    end
    while i <= size and i + string.byte(kept, i) + 56 <= size do       -- what is no lease is thrown away
        local name, q, g, c, h, l, r, w, after = unpack(LEASE, kept, i)
        before = before + h
        if r > now and l == life_of(name) then
            if name == host then
                mine_seq, mine_granted, mine_charged, mine_held = q, g, c, h
                mine_reclaim, mine_wants = min(r, now + lease), w
            else
                out = out + h
                if r > now + lease - silence then
                    wanting = wanting + w
                end
                if r > now + lease then
                    leases[#leases + 1] = pack(LEASE, #name, name, q, g, c, h, l, now + lease, w)
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
        if mine_seq and ack ~= mine_seq then
            -- What was granted the host never takes, and what was charged it says once more.
            credit, mine_held = credit + (mine_granted + mine_charged) * interval, mine_held - mine_granted
        end
        mine_held = mine_held or 0
        if not known then
            held = min(held, max(mine_held, charge))
        end
        credit = credit + min(back, max(0, mine_held - held)) * interval
        local uncharged = credit
        credit = max(credit - charge * interval, min(credit, -full))
        mine_charged = floor((uncharged - credit) / interval)
        credit = min(credit, max(0, full - (out + held) * interval))
        local units = max(0, floor(credit / interval))
        granted = min(wanted, units, max(least, floor(units / (wanting + 1))))
        credit = credit - granted * interval
        mine_seq, mine_granted, mine_held, mine_reclaim = seq, granted, held + granted, now + lease
        mine_wants = wanted > 0 and 1 or 0
    end
    credit = min(credit, max(0, full - (out + mine_held) * interval))
    leases[1] = pack(LEVEL, MAGIC, credit, at, born, interval, burst, interval_at, burst_at)
    leases[2] = pack(LEASE, #host, host, mine_seq, mine_granted, mine_charged, mine_held, life, mine_reclaim,
                     mine_wants)
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
