const { assert, body, drain, scenario } = require('../harness');

// A topic exchange feeds a fanout one; each routes by its own type; unbinding ends it.
scenario('exchange_to_exchange_binding', async (broker) => {
  const channel = await broker.channel();
  const source = await broker.exchange(channel, 'topic');
  const destination = await broker.exchange(channel, 'fanout');
  const queue = await broker.queue(channel);
  await channel.bindQueue(queue, destination, '');
  await channel.bindExchange(destination, source, 'orders.#');
  for (const key of ['orders.new', 'users.new', 'orders']) channel.publish(source, key, Buffer.from(key));
  assert.deepEqual((await drain(channel, queue)).map(body), ['orders.new', 'orders']);
  await channel.unbindExchange(destination, source, 'orders.#');
  channel.publish(source, 'orders.late', Buffer.from('late'));
  assert.deepEqual(await drain(channel, queue), []);
});

scenario('alternate_exchange_takes_the_unroutable', async (broker) => {
  const channel = await broker.channel(null, { confirm: true });
  const strays = await broker.exchange(channel, 'fanout');
  const main = await broker.exchange(channel, 'direct', { alternateExchange: strays });
  const [routed, unrouted] = [await broker.queue(channel), await broker.queue(channel)];
  await channel.bindQueue(routed, main, 'known');
  await channel.bindQueue(unrouted, strays, '');
  channel.on('return', (message) => assert.fail(`returned: ${body(message)}`));
  for (const key of ['known', 'unknown']) channel.publish(main, key, Buffer.from(key), { mandatory: true });
  await channel.waitForConfirms();
  assert.deepEqual((await drain(channel, routed)).map(body), ['known']);
  assert.deepEqual((await drain(channel, unrouted)).map(body), ['unknown']);
});
