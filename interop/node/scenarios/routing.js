const { Inbox, assert, scenario, until } = require('../harness');

// A direct exchange routes by equal key; one queue may be bound with several keys.
scenario('tutorial_4_routing', async (broker) => {
  const sender = await broker.channel();
  const logs = await broker.exchange(sender, 'direct');
  const subscribe = async (...severities) => {
    const channel = await broker.channel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    for (const severity of severities) await channel.bindQueue(queue, logs, severity);
    return Inbox.open(channel, queue, { noAck: true });
  };
  const disk = await subscribe('error');
  const screen = await subscribe('info', 'warning', 'error');
  for (const severity of ['info', 'debug', 'error', 'warning']) {
    sender.publish(logs, severity, Buffer.from(severity));
  }
  await until(() => disk.length === 1 && screen.length === 3, 'the logs arrive');
  assert.deepEqual(disk.bodies(), ['error']);
  assert.deepEqual(screen.bodies(), ['info', 'error', 'warning']);
});
