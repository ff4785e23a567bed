// Sends 900 samples with hot-shots, as it buffers them by itself: `uds PATH`, `stream PATH` or `tcp PORT`.
const net = require('net');
const StatsD = require('hot-shots');

const [protocol, where] = process.argv.slice(2);
const ways = {
  uds: () => ({ path: where }),
  stream: () => ({ stream: net.connect(where) }),
  tcp: () => ({ host: '127.0.0.1', port: Number(where) }),
};
const client = new StatsD({
  protocol,
  prefix: 'local.',
  ...ways[protocol](),
  errorHandler: (error) => { throw error; },
});

for (let i = 0; i < 300; i += 1) {
  client.increment('hits', 2);
  client.timing('took', 5);
  client.histogram('size', 0.1, { kind: 'small' });
}
client.close();
