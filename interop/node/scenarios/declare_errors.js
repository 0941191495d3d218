const { refused, scenario } = require('../harness');

scenario('passive_declare_of_missing_404', async (broker) => {
  const connection = await broker.connect();
  const missing = broker.name('missing');
  const [first, second] = [await broker.channel(connection), await broker.channel(connection)];
  await refused(404, `NOT_FOUND - no queue '${missing}' in vhost '/'`, () => first.checkQueue(missing));
  await refused(404, `NOT_FOUND - no exchange '${missing}' in vhost '/'`, () => second.checkExchange(missing));
});

scenario('inequivalent_queue_406', async (broker) => {
  const connection = await broker.connect();
  const queue = await broker.queue(await broker.channel(connection));
  const check = async (argument, options, difference) => {
    const channel = await broker.channel(connection);
    await refused(406,
      `PRECONDITION_FAILED - inequivalent arg '${argument}' for queue '${queue}' in vhost '/': ${difference}`,
      () => channel.assertQueue(queue, { durable: false, ...options }));
  };
  await check('durable', { durable: true }, "received 'true' but current is 'false'");
  await check('auto_delete', { autoDelete: true }, "received 'true' but current is 'false'");
  await check('x-max-length', { maxLength: 10 }, "received the value '10' of type 'byte' but current is none");
});

scenario('inequivalent_exchange_406', async (broker) => {
  const connection = await broker.connect();
  const exchange = await broker.exchange(await broker.channel(connection), 'direct');
  const check = async (argument, type, options, difference) => {
    const channel = await broker.channel(connection);
    await refused(406,
      `PRECONDITION_FAILED - inequivalent arg '${argument}' for exchange '${exchange}' in vhost '/': ${difference}`,
      () => channel.assertExchange(exchange, type, { durable: false, ...options }));
  };
  await check('type', 'fanout', {}, "received 'fanout' but current is 'direct'");
  await check('durable', 'direct', { durable: true }, "received 'true' but current is 'false'");
  await check('auto_delete', 'direct', { autoDelete: true }, "received 'true' but current is 'false'");
  await check('internal', 'direct', { internal: true }, "received 'true' but current is 'false'");
});
