const { Inbox, assert, body, drain, scenario, until } = require('../harness');

scenario('consumer_is_told_when_its_queue_is_deleted', async (broker) => {
  const other = await broker.channel();
  const consumer = await broker.channel();
  const queue = await broker.queue(other);
  const inbox = await Inbox.open(consumer, queue);
  await other.deleteQueue(queue);
  await until(() => inbox.cancelled, 'the server cancels the consumer');
  await consumer.assertQueue('', { exclusive: true });
});

// What it held stays acknowledgeable; what comes later waits in the queue.
scenario('cancelled_consumer_gets_no_more', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  const inbox = await Inbox.open(channel, queue);
  channel.sendToQueue(queue, Buffer.from('before'));
  await until(() => inbox.length === 1, 'the first is delivered');
  await channel.cancel(inbox.tag);
  channel.sendToQueue(queue, Buffer.from('after'));
  channel.ack(inbox.messages[0]);
  assert.deepEqual((await drain(channel, queue)).map(body), ['after']);
  assert.equal(inbox.length, 1);
});
