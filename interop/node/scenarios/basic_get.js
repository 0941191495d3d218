const { assert, scenario } = require('../harness');

scenario('get_tells_how_many_remain', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  for (let n = 0; n < 3; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  for (const remaining of [2, 1, 0]) {
    assert.equal((await channel.get(queue)).fields.messageCount, remaining);
  }
  assert.equal(await channel.get(queue), false);
});
