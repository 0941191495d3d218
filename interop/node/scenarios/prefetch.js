const { Inbox, assert, scenario, until, untilReady } = require('../harness');

// Each consumer of the channel may hold two; an ack makes room for one more.
scenario('prefetch_per_consumer', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await channel.prefetch(2);
  const first = await Inbox.open(channel, queue);
  const second = await Inbox.open(channel, queue);
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  await until(() => first.length + second.length === 4, 'both consumers are full');
  await untilReady(channel, queue, 6);
  assert.deepEqual([first.length, second.length], [2, 2]);
  channel.ack(first.messages[0]);
  await until(() => first.length === 3, 'the ack made room');
  await untilReady(channel, queue, 5);
  assert.equal(second.length, 2);
});

// With global=true, all consumers of the channel together may hold three.
scenario('prefetch_per_channel', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await channel.prefetch(3, true);
  const inboxes = [await Inbox.open(channel, queue), await Inbox.open(channel, queue)];
  const delivered = () => inboxes[0].length + inboxes[1].length;
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  await until(() => delivered() === 3, 'the channel is full');
  await untilReady(channel, queue, 7);
  channel.ack(inboxes.flatMap((inbox) => inbox.messages).find((message) => message.fields.deliveryTag === 2), true);
  await until(() => delivered() === 5, 'the acks made room for two');
  await untilReady(channel, queue, 5);
  assert.equal(delivered(), 5);
});

scenario('automatic_ack_ignores_prefetch', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await channel.prefetch(1);
  const inbox = await Inbox.open(channel, queue, { noAck: true });
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  await until(() => inbox.length === 10, 'all ten arrive');
});
