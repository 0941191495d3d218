const { Inbox, assert, body, drain, scenario, until } = require('../harness');

scenario('expired_message_is_dead_lettered', async (broker) => {
  const channel = await broker.channel();
  const graveyard = await broker.queue(channel);
  const queue = await broker.queue(channel, { deadLetterExchange: '', deadLetterRoutingKey: graveyard });
  const inbox = await Inbox.open(channel, graveyard, { noAck: true });
  channel.sendToQueue(queue, Buffer.from('short life'), { expiration: 50 });
  await until(() => inbox.length === 1, 'the message expires');
  const { headers, expiration } = inbox.messages[0].properties;
  const [death] = headers['x-death'];
  assert.deepEqual([death.queue, death.reason, death.count], [queue, 'expired', 1]);
  assert.equal(expiration, undefined, 'the expiration is taken off');
});

scenario('full_queue_drops_its_head', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel, { maxLength: 2 });
  for (let n = 0; n < 5; n++) channel.sendToQueue(queue, Buffer.from(`${n}`));
  assert.deepEqual((await drain(channel, queue)).map(body), ['3', '4']);
});

scenario('priority_queue_serves_the_highest_first', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel, { maxPriority: 5 });
  for (const priority of [1, 5, 0, 3, 5]) channel.sendToQueue(queue, Buffer.from(`${priority}`), { priority });
  assert.deepEqual((await drain(channel, queue)).map(body), ['5', '5', '3', '1', '0']);
});
