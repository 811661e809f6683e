-- put.lua - PUT /kv/key:NNNNNNNNNN with a value of 32 bytes, key after key, round and round.
--
--     wrk -t1 -c50 -d10s -s clients/wrk/put.lua http://127.0.0.1:7172 -- 100000 32
--
-- The numbers are how many keys there are (100000) and how many bytes a value has (32). With one thread every key is
-- written once before any is written again, so a run that lasts long enough leaves them all in the map.

local requests = {}
local place = 0

function init(args)
    local keys = math.min(tonumber(args[1]) or 100000, 200000)
    local value = string.rep("v", tonumber(args[2]) or 32)
    for i = 1, keys do
        requests[i] = wrk.format("PUT", string.format("/kv/key:%010d", i - 1), nil, value)
    end
end

function request()
    place = place % #requests + 1
    return requests[place]
end
