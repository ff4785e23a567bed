// Sends 900 samples with hot-shots, as it buffers them by itself: `uds PATH` or `tcp PORT`.
const StatsD = require('hot-shots');

const [protocol, where] = process.argv.slice(2);
const client = new StatsD({
  protocol,
  prefix: 'local.',
  ...(protocol === 'uds' ? { path: where } : { host: '127.0.0.1', port: Number(where) }),
  errorHandler: (error) => { throw error; },
});

for (let i = 0; i < 300; i += 1) {
  client.increment('hits', 2);
  client.timing('took', 5);
  client.histogram('size', 0.1, { kind: 'small' });
}
client.close();
