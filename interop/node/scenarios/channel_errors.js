const { Inbox, assert, assertRefusal, scenario, until } = require('../harness');

// Other channels go on, and new ones can be opened.
scenario('channel_error_leaves_the_connection_alive', async (broker) => {
  const connection = await broker.connect();
  const bystander = await broker.channel(connection);
  const victim = await broker.channel(connection);
  const queue = await broker.queue(bystander);
  const inbox = await Inbox.open(bystander, queue, { noAck: true });
  const missing = broker.name('exchange');
  victim.publish(missing, 'key', Buffer.from('lost'));
  assertRefusal(await victim.failure, 404, `NOT_FOUND - no exchange '${missing}' in vhost '/'`);

  const next = await broker.channel(connection);
  next.sendToQueue(queue, Buffer.from('still alive'));
  await until(() => inbox.length === 1, 'the bystander gets a message');
  assert.deepEqual(inbox.bodies(), ['still alive']);
  assert.equal(connection.failure, undefined);
});

// A consumer tag used twice is a fault of the whole connection.
scenario('connection_error_names_its_cause_530', async (broker) => {
  const connection = await broker.connect();
  const channel = await broker.channel(connection);
  const queue = await broker.queue(channel);
  await Inbox.open(channel, queue, { consumerTag: 'twice' });
  Inbox.open(channel, queue, { consumerTag: 'twice' }).catch(() => {});
  await until(() => connection.failure, 'the connection is closed');
  assertRefusal(connection.failure, 530, "NOT_ALLOWED - attempt to reuse consumer tag 'twice'");
});
