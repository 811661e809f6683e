-- pipeline.lua - the same GET many times in one write, to see what is left when system calls are shared.
--
--     wrk -t1 -c50 -d10s -s clients/wrk/pipeline.lua http://127.0.0.1:7172/kv/k -- 16
--
-- The number is how many requests travel together (16). The path is the one in the address, so that the same script can
-- load another server; write it first: curl -X PUT -d hello http://127.0.0.1:7172/kv/k

local together

function init(args)
    together = string.rep(wrk.format("GET", wrk.path), tonumber(args[1]) or 16)
end

function request()
    return together
end
