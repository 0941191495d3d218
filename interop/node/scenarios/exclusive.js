const { Inbox, assert, refused, scenario } = require('../harness');

scenario('exclusive_queue_is_locked_for_others_405', async (broker) => {
  const owner = await broker.channel();
  const other = await broker.connect();
  const queue = await broker.queue(owner, { exclusive: true });
  const text = `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. `
    + 'It could be originally declared on another connection or the exclusive property value does not '
    + 'match that of the original declaration.';
  const attempts = [
    (channel) => channel.assertQueue(queue, { exclusive: true }),
    (channel) => channel.checkQueue(queue),
    (channel) => channel.get(queue),
    (channel) => channel.consume(queue, () => {}),
    (channel) => channel.purgeQueue(queue),
    (channel) => channel.deleteQueue(queue),
    (channel) => channel.bindQueue(queue, 'amq.direct', 'key'),
  ];
  for (const attempt of attempts) {
    const channel = await broker.channel(other);
    await refused(405, text, () => attempt(channel));
  }
});

// The name is free as soon as the owner's close is answered.
scenario('exclusive_queue_ends_with_its_connection', async (broker) => {
  const owner = await broker.connect();
  const queue = await broker.queue(await broker.channel(owner), { exclusive: true });
  const other = await broker.channel();
  await owner.close();
  assert.equal((await other.assertQueue(queue, { durable: false })).messageCount, 0);
});

scenario('exclusive_consumer_refuses_others_403', async (broker) => {
  const connection = await broker.connect();
  const channel = await broker.channel(connection);
  const queue = await broker.queue(channel);
  const alone = await Inbox.open(channel, queue, { exclusive: true });
  const other = await broker.channel(connection);
  await refused(403, `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
    () => Inbox.open(other, queue));
  await channel.cancel(alone.tag);
  await Inbox.open(await broker.channel(connection), queue);
});
