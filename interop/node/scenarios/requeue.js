const { Inbox, assert, body, drain, scenario, until } = require('../harness');

async function fiveMessages(broker, channel) {
  const queue = await broker.queue(channel);
  for (let n = 1; n <= 5; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  return queue;
}

async function take(channel, queue, count) {
  const taken = [];
  for (let n = 0; n < count; n++) taken.push(await channel.get(queue));
  return taken;
}

// "2+" is a redelivered 2.
function marks(messages) {
  return messages.map((message) => body(message) + (message.fields.redelivered ? '+' : ''));
}

// The second and fourth go back in order, before what was never delivered, as redelivered.
scenario('nacked_messages_return_to_their_places', async (broker) => {
  const channel = await broker.channel();
  const queue = await fiveMessages(broker, channel);
  const taken = await take(channel, queue, 4);
  assert.deepEqual(marks(taken), ['1', '2', '3', '4']);
  channel.nack(taken[3], false, true);
  channel.nack(taken[1], false, true);
  assert.deepEqual(marks(await drain(channel, queue)), ['2+', '4+', '5']);
});

scenario('rejected_message_returns_to_the_head', async (broker) => {
  const channel = await broker.channel();
  const queue = await fiveMessages(broker, channel);
  const [first] = await take(channel, queue, 1);
  channel.reject(first, true);
  assert.deepEqual(marks(await drain(channel, queue)), ['1+', '2', '3', '4', '5']);
});

scenario('nack_multiple_requeues_all_up_to_the_tag', async (broker) => {
  const channel = await broker.channel();
  const queue = await fiveMessages(broker, channel);
  const taken = await take(channel, queue, 4);
  channel.nack(taken[2], true, true);
  assert.deepEqual(marks(await drain(channel, queue)), ['1+', '2+', '3+', '5']);
});

scenario('rejected_without_requeue_is_gone', async (broker) => {
  const channel = await broker.channel();
  const queue = await fiveMessages(broker, channel);
  const [first, second] = await take(channel, queue, 2);
  channel.reject(first, false);
  channel.nack(second, false, false);
  assert.deepEqual(marks(await drain(channel, queue)), ['3', '4', '5']);
});

scenario('closed_channel_returns_its_messages_in_order', async (broker) => {
  const connection = await broker.connect();
  const channel = await broker.channel(connection);
  const queue = await fiveMessages(broker, channel);
  const consumer = await broker.channel(connection);
  const inbox = await Inbox.open(consumer, queue);
  await until(() => inbox.length === 5, 'all five are delivered');
  consumer.ack(inbox.messages[0]);
  await consumer.close();
  const again = await Inbox.open(channel, queue, { noAck: true });
  await until(() => again.length === 4, 'the four unacknowledged come again');
  assert.deepEqual(marks(again.messages), ['2+', '3+', '4+', '5+']);
});

scenario('recover_redelivers_everything_unacknowledged', async (broker) => {
  const channel = await broker.channel();
  const queue = await fiveMessages(broker, channel);
  const inbox = await Inbox.open(channel, queue);
  await until(() => inbox.length === 5, 'all five are delivered');
  channel.ack(inbox.messages[1]);
  await channel.recover();
  await until(() => inbox.length === 9, 'the other four come again');
  assert.deepEqual(marks(inbox.messages.slice(5)), ['1+', '3+', '4+', '5+']);
});
