// A backend of statsd that tells how much a flush counted: the sum of all counters and the number of timings.
exports.init = function (startup, config, events) {
  events.on('flush', function (time, metrics) {
    let counters = 0, timings = 0;
    for (const name in metrics.counters) if (!name.startsWith('statsd.')) counters += metrics.counters[name];
    for (const name in metrics.timers) timings += metrics.timers[name].length;
    console.log(JSON.stringify([counters, timings]));
  });
  return true;
};
