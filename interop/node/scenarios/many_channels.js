const { Inbox, assert, scenario, until } = require('../harness');

// Two hundred channels on one connection, each with its own queue, consumer and message.
scenario('many_channels_200', async (broker) => {
  const connection = await broker.connect();
  const inboxes = await Promise.all(Array.from({ length: 200 }, async (_, n) => {
    const channel = await broker.channel(connection);
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const inbox = await Inbox.open(channel, queue, { noAck: true });
    channel.sendToQueue(queue, Buffer.from(`${n}`));
    return inbox;
  }));
  await until(() => inboxes.every((inbox) => inbox.length === 1), 'every channel has its message');
  inboxes.forEach((inbox, n) => assert.deepEqual(inbox.bodies(), [`${n}`]));
});
