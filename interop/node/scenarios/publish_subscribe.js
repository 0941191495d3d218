const { Inbox, assert, scenario, until } = require('../harness');

// A fanout exchange copies each message to every exclusive, server-named queue bound to it.
scenario('tutorial_3_publish_subscribe', async (broker) => {
  const sender = await broker.channel();
  const logs = await broker.exchange(sender, 'fanout');
  const inboxes = [];
  for (let n = 0; n < 3; n++) {
    const channel = await broker.channel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    assert.match(queue, /^amq\.gen-/);
    await channel.bindQueue(queue, logs, '');
    inboxes.push(await Inbox.open(channel, queue, { noAck: true }));
  }
  const lines = ['one', 'two', 'three'];
  for (const line of lines) sender.publish(logs, 'the key is ignored', Buffer.from(line));
  await until(() => inboxes.every((inbox) => inbox.length === 3), 'all subscribers have all');
  for (const inbox of inboxes) {
    assert.deepEqual(inbox.bodies(), lines);
    assert.equal(inbox.messages[0].fields.exchange, logs);
  }
});
