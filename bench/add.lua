-- wrk: POST /add with a body of 128 bytes that no other request of this run or another has.
count = 0
function setup(thread)
  thread:set("id", count)
  count = count + 1
end

function init(args)
  math.randomseed(os.time() * 16 + id)
  prefix = string.format("%d-%d-%d-", os.time(), id, math.random(1, 1e9))
  filler = string.rep("x", 128)
  sent = 0
end

function request()
  sent = sent + 1
  return wrk.format("POST", "/add", nil, (prefix .. sent .. "-" .. filler):sub(1, 128))
end
