-- wrk: GET of the inclusion proof of a random entry; the argument is the size of the log.
count = 0
function setup(thread)
  thread:set("id", count)
  count = count + 1
end

function init(args)
  math.randomseed(os.time() * 16 + id)
  size = tonumber(args[1])
end

function request()
  return wrk.format("GET", "/proof/inclusion?index=" .. math.random(0, size - 1))
end
