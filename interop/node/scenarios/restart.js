const { Inbox, assert, body, scenario, until } = require('../harness');

// A client that connects again finds its queue, and what was confirmed before.
scenario('reconnect_after_broker_restart', async (broker) => {
  const restart = broker.restartable();
  const connection = await broker.connect();
  const channel = await broker.channel(connection, { confirm: true });
  const queue = await broker.queue(channel, { durable: true });
  channel.sendToQueue(queue, Buffer.from('before'), { persistent: true });
  await channel.waitForConfirms();
  restart();
  await until(() => connection.closed, 'the connection is closed');
  if (connection.failure?.code) assert.equal(connection.failure.code, 320);

  const again = await broker.channel();
  const inbox = await Inbox.open(again, queue, { noAck: true });
  again.sendToQueue(queue, Buffer.from('after'));
  await until(() => inbox.length === 2, 'both are there');
  assert.deepEqual(inbox.messages.map(body), ['before', 'after']);
});
