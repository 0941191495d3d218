const { Inbox, assert, body, scenario, until } = require('../harness');

// A message sent to a queue by its name arrives at a consumer.
scenario('tutorial_1_hello_world', async (broker) => {
  const sender = await broker.channel();
  const receiver = await broker.channel();
  const queue = await broker.queue(sender);
  const inbox = await Inbox.open(receiver, queue, { noAck: true });
  sender.sendToQueue(queue, Buffer.from('Hello World!'));
  await until(() => inbox.length === 1, 'the message arrives');
  const [message] = inbox.messages;
  assert.equal(body(message), 'Hello World!');
  assert.equal(message.fields.exchange, '');
  assert.equal(message.fields.routingKey, queue);
  assert.equal(message.fields.redelivered, false);
});
