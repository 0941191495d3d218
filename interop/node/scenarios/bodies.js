const { randomBytes } = require('node:crypto');
const { assert, drain, scenario } = require('../harness');

scenario('large_body_10_mib', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  const sent = randomBytes(10 * 1024 * 1024);
  channel.sendToQueue(queue, sent);
  const received = await channel.get(queue, { noAck: true });
  assert.ok(received.content.equals(sent), 'the body came back changed');
});

// Nothing, one octet, and a few octets either side of one and two full frames.
scenario('body_sizes_around_the_frame_limit', async (broker) => {
  const frameMax = 4096;
  const channel = await broker.channel(await broker.connect({ search: `?frameMax=${frameMax}` }));
  const queue = await broker.queue(channel);
  const full = frameMax - 8;
  const sizes = [0, 1, full - 1, full, full + 1, 2 * full - 1, 2 * full, 2 * full + 1];
  for (const size of sizes) channel.sendToQueue(queue, Buffer.alloc(size, 'x'));
  assert.deepEqual((await drain(channel, queue)).map((message) => message.content.length), sizes);
});
