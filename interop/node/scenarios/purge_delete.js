const { assert, refused, scenario, untilReady } = require('../harness');

async function filled(broker, channel) {
  const queue = await broker.queue(channel);
  for (let n = 0; n < 5; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  return queue;
}

scenario('purge_counts_ready_messages_only', async (broker) => {
  const channel = await broker.channel();
  const queue = await filled(broker, channel);
  const held = await channel.get(queue);
  assert.equal((await channel.purgeQueue(queue)).messageCount, 4);
  channel.nack(held, false, true);
  await untilReady(channel, queue, 1);
});

scenario('delete_counts_ready_messages_only', async (broker) => {
  const channel = await broker.channel();
  const queue = await filled(broker, channel);
  const held = await channel.get(queue);
  assert.equal((await channel.deleteQueue(queue)).messageCount, 4);
  channel.ack(held); // Accepted, though the queue is gone.
  assert.equal((await channel.deleteQueue(queue)).messageCount, 0, 'deleting again');
});

scenario('conditional_delete_406', async (broker) => {
  const connection = await broker.connect();
  const [full, used] = [await broker.channel(connection), await broker.channel(connection)];
  const queue = await filled(broker, await broker.channel(connection));
  const resource = `queue '${queue}' in vhost '/'`;
  await refused(406, `PRECONDITION_FAILED - ${resource} not empty`, () => full.deleteQueue(queue, { ifEmpty: true }));
  await used.consume(queue, () => {});
  await refused(406, `PRECONDITION_FAILED - ${resource} in use`, () => used.deleteQueue(queue, { ifUnused: true }));
});
