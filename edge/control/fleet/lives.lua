-- Begins the scripts of limits, which are told and sent behind it: which epoch it is, and which hosts live. Each call is
-- its host's word that it lives. tests/fleet/lives.py is the same as pure functions.
--
-- KEYS[1]      the epoch of the group: "<born> <server>", the Redis time (us) at which it was born, and on which run
-- KEYS[2]      a hash, the lives of hosts: "<host>" = "life until": since when (us) the host has spoken without a gap,
--              which is the life's name, too, and when its silence ends it
-- ARGV[1]      the host   ARGV[2]  the server's run, as the host knows it
-- ARGV[3]      how long a life goes on without a word, and a lease within a life, as Redis keeps them: ARGV[4], us
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

