// Sends a fixed set of metrics with hot-shots to 127.0.0.1:PORT and ends when all are on the wire.
const StatsD = require('hot-shots');

const port = Number(process.argv[2]);
const options = { host: '127.0.0.1', port, prefix: 'node.', errorHandler: (error) => { throw error; } };
const plain = new StatsD(options);
const buffered = new StatsD({ ...options, maxBufferSize: 400, bufferFlushInterval: 20, globalTags: { env: 'test' } });
const telemetry = new StatsD({ ...options, includeDatadogTelemetry: true, telemetryFlushInterval: 50 });

let open = 0;
const sent = () => { open -= 1; if (open === 0) close(); };
const count = (times, send) => { for (let i = 0; i < times; i += 1) { open += 1; send(i); } };

function close() {
  buffered.close(() => telemetry.close(() => plain.close()));
}

count(300, () => plain.increment('orders', 1, sent));
count(40, (i) => plain.timing('latency', i * 1.25, sent));
count(1, () => plain.decrement('orders', 50, sent));
count(1, () => plain.gauge('queue', 7, sent));
count(1, () => plain.gaugeDelta('queue', -2.5, sent));
count(30, (i) => plain.unique('users', `user-${i % 10}`, sent));
count(20, (i) => buffered.histogram('size', 0.1, ['kind:small'], sent));
count(20, (i) => buffered.distribution('size', 100 + i, { kind: 'large' }, sent));
count(250, () => buffered.increment('buffered', 2, sent));
count(10, () => telemetry.increment('with_telemetry', 1, sent));
count(1, () => plain.event('deployed', 'version 2', {}, sent));
