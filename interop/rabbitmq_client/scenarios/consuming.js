const { Inbox, assert, body, drain, scenario, until, untilReady } = require('../harness');

async function publish(channel, queue, count) {
  for (let n = 1; n <= count; n++) await channel.basicPublish(queue, `${n}`);
}

scenario('prefetch_per_consumer', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await channel.basicQos({ prefetchCount: 2 });
  const [first, second] = [await Inbox.open(channel, queue), await Inbox.open(channel, queue)];
  await publish(channel, queue, 10);
  await until(() => first.length + second.length === 4, 'both consumers are full');
  await untilReady(channel, queue, 6);
  assert.deepEqual([first.length, second.length], [2, 2]);
  channel.basicAck({ deliveryTag: first.messages[0].deliveryTag });
  await until(() => first.length === 3, 'the ack made room');
  await untilReady(channel, queue, 5);
  assert.equal(second.length, 2);
});

scenario('nacked_messages_return_to_their_places', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await publish(channel, queue, 5);
  const taken = [];
  for (let n = 0; n < 4; n++) taken.push(await channel.basicGet({ queue }));
  assert.deepEqual(taken.map((message) => message.redelivered), [false, false, false, false]);
  for (const n of [3, 1]) channel.basicNack({ deliveryTag: taken[n].deliveryTag, requeue: true });
  assert.deepEqual((await drain(channel, queue)).map((message) => [message.body, message.redelivered]),
    [['2', true], ['4', true], ['5', false]]);
});

scenario('consumer_is_told_when_its_queue_is_deleted', async (broker) => {
  const [consumer, other] = [await broker.channel(), await broker.channel()];
  const queue = await broker.queue(other);
  const inbox = await Inbox.open(consumer, queue);
  const cancelled = new Promise((resolve) => { consumer.once('basic.cancel', resolve); });
  await other.queueDelete({ queue });
  assert.equal(await cancelled, inbox.tag);
  assert.ok(consumer.active);
});

scenario('cancelled_consumer_gets_no_more', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  const inbox = await Inbox.open(channel, queue);
  await channel.basicPublish(queue, 'before');
  await until(() => inbox.length === 1, 'the first is delivered');
  await channel.basicCancel(inbox.tag);
  await channel.basicPublish(queue, 'after');
  channel.basicAck({ deliveryTag: inbox.messages[0].deliveryTag });
  assert.deepEqual((await drain(channel, queue)).map(body), ['after']);
  assert.equal(inbox.length, 1);
});

scenario('exclusive_queue_is_locked_for_others_405', async (broker) => {
  const [owner, other] = [broker.connect(), broker.connect()];
  const queue = await broker.queue(await owner.acquire(), { exclusive: true });
  const text = `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. `
    + 'It could be originally declared on another connection or the exclusive property value does not '
    + 'match that of the original declaration.';
  for (const attempt of [
    (channel) => channel.queueDeclare({ queue, exclusive: true }),
    (channel) => channel.queueDeclare({ queue, passive: true }),
    (channel) => channel.basicGet({ queue }),
    (channel) => channel.basicConsume({ queue }, () => {}),
    (channel) => channel.queuePurge({ queue }),
    (channel) => channel.queueDelete({ queue }),
  ]) {
    await assert.rejects(attempt(await other.acquire()), (error) => {
      assert.equal(error.code, 'RESOURCE_LOCKED');
      assert.ok(error.message.includes(text), error.message);
      return true;
    });
  }
});

scenario('expired_message_is_dead_lettered', async (broker) => {
  const channel = await broker.channel();
  const graveyard = await broker.queue(channel);
  const queue = await broker.queue(channel, {
    arguments: { 'x-message-ttl': 50, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': graveyard },
  });
  const inbox = await Inbox.open(channel, graveyard, { noAck: true });
  await channel.basicPublish(queue, 'short life');
  await until(() => inbox.length === 1, 'the message expires');
  const [death] = inbox.messages[0].headers['x-death'];
  assert.deepEqual([death.queue, death.reason, death.count], [queue, 'expired', 1]);
  assert.deepEqual([death.exchange, death['routing-keys']], ['', [queue]]);
});

scenario('priority_queue_serves_the_highest_first', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel, { arguments: { 'x-max-priority': 5 } });
  for (const priority of [1, 5, 0, 3, 5]) await channel.basicPublish({ routingKey: queue, priority }, `${priority}`);
  assert.deepEqual((await drain(channel, queue)).map(body), ['5', '5', '3', '1', '0']);
});
