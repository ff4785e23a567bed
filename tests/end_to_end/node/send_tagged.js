// Sends counters and sampled timings with tags by hot-shots to 127.0.0.1:PORT: `PORT dogstatsd` or `PORT telegraf`.
const StatsD = require('hot-shots');

const [port, form] = process.argv.slice(2);
const client = new StatsD({
  host: '127.0.0.1',
  port: Number(port),
  prefix: 'node.',
  telegraf: form === 'telegraf',
  globalTags: { env: 'test' },
  maxBufferSize: 1200,
  errorHandler: (error) => { throw error; },
});

for (let i = 0; i < 400; i += 1) {
  const shop = { shop: `s${i % 3}` };
  client.increment('orders', 2, shop);
  client.increment('seen', 1, 0.25, shop);
  client.timing('took', Math.round(i * i * 37) / 100, 0.5, shop);
  client.histogram('size', i * 1.5, 0.25, [`half:${Math.floor(i / 200)}`]);
}
client.close();
