const { Inbox, assert, scenario, until } = require('../harness');

// A lower consumer gets messages only while the higher one has no room.
scenario('consumer_priority_decides_who_is_served', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await channel.prefetch(2);
  const low = await Inbox.open(channel, queue);
  const high = await Inbox.open(channel, queue, { priority: 10 });
  const publish = async (...numbers) => {
    const total = low.length + high.length + numbers.length;
    for (const n of numbers) channel.sendToQueue(queue, Buffer.from(`${n}`));
    await until(() => low.length + high.length === total, 'all are delivered');
  };
  await publish(1, 2, 3);
  assert.deepEqual([high.bodies(), low.bodies()], [['1', '2'], ['3']]);
  channel.ack(high.messages[0]);
  await publish(4, 5);
  assert.deepEqual([high.bodies(), low.bodies()], [['1', '2', '4'], ['3', '5']]);
});
