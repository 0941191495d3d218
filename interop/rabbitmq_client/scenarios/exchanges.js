const { Inbox, assert, body, drain, scenario, until } = require('../harness');

scenario('tutorial_1_hello_world', async (broker) => {
  const sender = await broker.channel();
  const queue = await broker.queue(sender);
  const received = [];
  broker.connect().createConsumer({ queue }, (message) => { received.push(message); });
  await sender.basicPublish(queue, 'Hello World!');
  await until(() => received.length === 1, 'the message arrives');
  const [message] = received;
  assert.deepEqual([message.body, message.exchange, message.routingKey, message.redelivered],
    ['Hello World!', '', queue, false]);
});

scenario('tutorial_3_publish_subscribe', async (broker) => {
  const sender = await broker.channel();
  const exchange = await broker.exchange(sender, 'fanout');
  const inboxes = [];
  for (let n = 0; n < 3; n++) {
    const channel = await broker.channel();
    const { queue } = await channel.queueDeclare({ exclusive: true });
    await channel.queueBind({ queue, exchange });
    inboxes.push(await Inbox.open(channel, queue, { noAck: true }));
  }
  const lines = ['one', 'two', 'three'];
  for (const line of lines) await sender.basicPublish({ exchange, routingKey: 'the key is ignored' }, line);
  await until(() => inboxes.every((inbox) => inbox.length === 3), 'all subscribers have all');
  assert.deepEqual(inboxes.map((inbox) => inbox.bodies()), [lines, lines, lines]);
});

scenario('tutorial_4_routing', async (broker) => {
  const sender = await broker.channel();
  const exchange = await broker.exchange(sender, 'direct');
  async function subscribe(...severities) {
    const channel = await broker.channel();
    const { queue } = await channel.queueDeclare({ exclusive: true });
    for (const routingKey of severities) await channel.queueBind({ queue, exchange, routingKey });
    return Inbox.open(channel, queue, { noAck: true });
  }
  const [disk, screen] = [await subscribe('error'), await subscribe('info', 'warning', 'error')];
  for (const routingKey of ['info', 'debug', 'error', 'warning']) {
    await sender.basicPublish({ exchange, routingKey }, routingKey);
  }
  await until(() => disk.length === 1 && screen.length === 3, 'the logs arrive');
  assert.deepEqual([disk.bodies(), screen.bodies()], [['error'], ['info', 'error', 'warning']]);
});

scenario('tutorial_5_topics', async (broker) => {
  const channel = await broker.channel();
  const exchange = await broker.exchange(channel, 'topic');
  const keys = ['quick.orange.rabbit', 'lazy.orange.elephant', 'lazy.brown.fox', 'orange', 'lazy', ''];
  const expected = {
    '*.orange.*': ['quick.orange.rabbit', 'lazy.orange.elephant'],
    '*.*.rabbit': ['quick.orange.rabbit'],
    'lazy.#': ['lazy.orange.elephant', 'lazy.brown.fox', 'lazy'],
    '#': keys,
  };
  const queues = {};
  for (const routingKey of Object.keys(expected)) {
    queues[routingKey] = await broker.queue(channel);
    await channel.queueBind({ queue: queues[routingKey], exchange, routingKey });
  }
  for (const routingKey of keys) await channel.basicPublish({ exchange, routingKey }, routingKey);
  for (const [pattern, queue] of Object.entries(queues)) {
    const received = (await drain(channel, queue)).map((message) => message.routingKey);
    assert.deepEqual(received, expected[pattern], `keys matching ${pattern}`);
  }
});

scenario('headers_exchange_all_and_any', async (broker) => {
  const channel = await broker.channel();
  const exchange = await broker.exchange(channel, 'headers');
  const [all, any] = [await broker.queue(channel), await broker.queue(channel)];
  for (const [match, queue] of [['all', all], ['any', any]]) {
    await channel.queueBind({ queue, exchange, arguments: { 'x-match': match, format: 'pdf', pages: 3 } });
  }
  for (const [text, headers] of [
    ['both', { format: 'pdf', pages: 3, more: true }],
    ['one', { format: 'pdf', pages: 4 }],
    ['string is not a number', { pages: '3' }],
    ['no headers', {}],
  ]) await channel.basicPublish({ exchange, headers }, text);
  assert.deepEqual((await drain(channel, all)).map(body), ['both']);
  assert.deepEqual((await drain(channel, any)).map(body), ['both', 'one']);
});

scenario('alternate_exchange_takes_the_unroutable', async (broker) => {
  const channel = await broker.channel();
  const strays = await broker.exchange(channel, 'fanout');
  const main = await broker.exchange(channel, 'direct', { arguments: { 'alternate-exchange': strays } });
  const [routed, unrouted] = [await broker.queue(channel), await broker.queue(channel)];
  await channel.queueBind({ queue: routed, exchange: main, routingKey: 'known' });
  await channel.queueBind({ queue: unrouted, exchange: strays });
  for (const routingKey of ['known', 'unknown']) await channel.basicPublish({ exchange: main, routingKey }, routingKey);
  assert.deepEqual((await drain(channel, routed)).map(body), ['known']);
  assert.deepEqual((await drain(channel, unrouted)).map((message) => [body(message), message.exchange]),
    [['unknown', main]]);
});
