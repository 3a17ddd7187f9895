-- wrk: POSTs one file again and again. Arguments: file of the body, file of header lines. One JSON line at the end.
function init(arguments)
  wrk.method = "POST"
  wrk.body = assert(io.open(arguments[1], "rb")):read("*a")
  for line in io.lines(arguments[2]) do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format('RESULT {"answers": %d, "microseconds": %d, "bytes": %d, "not_ok": %d, "failed": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, summary.bytes, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout, latency:percentile(50), latency:percentile(99)))
end
