-- get.lua - GET /kv/key:NNNNNNNNNN, keys chosen at random.
--
--     wrk -t1 -c50 -d10s -s clients/wrk/get.lua http://127.0.0.1:7172 -- 100000
--
-- The number is how many keys there are (100000). Run put.lua first: a key that is not there is a 404, which wrk
-- counts as "Non-2xx". Requests are made once, before the clock runs: what is measured is the server, not Lua.

local requests = {}

function init(args)
    local keys = tonumber(args[1]) or 100000
    math.randomseed(os.time())
    for i = 1, math.min(keys, 200000) do
        local key = keys <= 200000 and i - 1 or math.random(0, keys - 1)
        requests[i] = wrk.format("GET", string.format("/kv/key:%010d", key))
    end
end

function request()
    return requests[math.random(#requests)]
end
