-- mixed.lua - nine GETs to one PUT (or another mix) of keys chosen at random, values of 32 bytes.
--
--     wrk -t1 -c50 -d10s -s clients/wrk/mixed.lua http://127.0.0.1:7172 -- 100000 10
--
-- The numbers are how many keys there are (100000) and how many per cent of the requests write (10). Keys that were
-- never written are 404s: run put.lua first, or read "Non-2xx" as misses.

local gets, puts = {}, {}
local writes = 10

function init(args)
    local keys = math.min(tonumber(args[1]) or 100000, 100000)
    local value = string.rep("v", 32)
    writes = tonumber(args[2]) or writes
    math.randomseed(os.time())
    for i = 1, keys do
        local path = string.format("/kv/key:%010d", i - 1)
        gets[i] = wrk.format("GET", path)
        puts[i] = wrk.format("PUT", path, nil, value)
    end
end

function request()
    local key = math.random(#gets)
    return math.random(100) <= writes and puts[key] or gets[key]
end
