const { Inbox, assert, assertRefusal, body, drain, scenario, until, untilReady } = require('../harness');

scenario('ack_multiple_settles_all_up_to_the_tag', async (broker) => {
  const connection = await broker.connect();
  const channel = await broker.channel(connection);
  const consumer = await broker.channel(connection);
  const queue = await broker.queue(channel);
  const inbox = await Inbox.open(consumer, queue);
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  await until(() => inbox.length === 10, 'all ten are delivered');
  assert.deepEqual(inbox.messages.map((message) => message.fields.deliveryTag), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  consumer.ack(inbox.messages[6], true);
  await consumer.close();
  await untilReady(channel, queue, 3);
  assert.deepEqual((await drain(channel, queue)).map(body), ['7', '8', '9']);
});

scenario('ack_zero_multiple_settles_everything', async (broker) => {
  const connection = await broker.connect();
  const channel = await broker.channel(connection);
  const consumer = await broker.channel(connection);
  const queue = await broker.queue(channel);
  const inbox = await Inbox.open(consumer, queue);
  for (let n = 0; n < 4; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  await until(() => inbox.length === 4, 'all four are delivered');
  consumer.ackAll();
  consumer.ackAll(); // With nothing outstanding it does nothing.
  await consumer.close();
  assert.equal((await channel.deleteQueue(queue)).messageCount, 0);
});

scenario('unknown_delivery_tag_406', async (broker) => {
  const connection = await broker.connect();
  for (const settle of ['ack', 'nack', 'reject']) {
    const channel = await broker.channel(connection);
    channel[settle]({ fields: { deliveryTag: 99 } });
    assertRefusal(await channel.failure, 406, 'PRECONDITION_FAILED - unknown delivery tag 99');
  }
});

scenario('second_ack_of_a_tag_406', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  channel.sendToQueue(queue, Buffer.from('once'));
  const message = await channel.get(queue);
  channel.ack(message);
  channel.ack(message);
  assertRefusal(await channel.failure, 406, 'PRECONDITION_FAILED - unknown delivery tag 1');
});
