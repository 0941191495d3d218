const { randomBytes } = require('node:crypto');
const { assert, body, drain, scenario, until } = require('../harness');

// A thousand publishes are under way together; each is settled by its confirm.
scenario('tutorial_7_confirms_in_batches', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel, { durable: true });
  const publisher = broker.connect().createPublisher({ confirm: true });
  const texts = Array.from({ length: 1000 }, (_, n) => `${n}`);
  await Promise.all(texts.map((text) => publisher.send({ routingKey: queue, durable: true }, text)));
  // The first one opens the channel of the publisher and may be overtaken meanwhile.
  assert.deepEqual((await drain(channel, queue)).map(body).sort(), texts.sort());
  await publisher.close();
});

scenario('full_queue_that_rejects_nacks_the_publish', async (broker) => {
  const channel = await broker.channel();
  await channel.confirmSelect();
  const queue = await broker.queue(channel, { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
  await channel.basicPublish(queue, 'fits');
  await assert.rejects(channel.basicPublish(queue, 'does not'), { code: 'NACK' });
  assert.deepEqual((await drain(channel, queue)).map(body), ['fits']);
});

scenario('mandatory_message_is_returned_before_its_ack', async (broker) => {
  const events = [];
  const publisher = broker.connect().createPublisher({ confirm: true });
  publisher.on('basic.return', (message) => events.push(
    [message.replyCode, message.replyText, message.exchange, message.routingKey, message.messageId, message.body]));
  await publisher.send({ exchange: 'amq.direct', routingKey: 'no such key', mandatory: true, messageId: 'm-1' }, 'stray');
  // It tells of the return only after it has gone on with whoever waited for the confirm.
  await until(() => events.length === 1, 'the message comes back');
  assert.deepEqual(events, [[312, 'NO_ROUTE', 'amq.direct', 'no such key', 'm-1', 'stray']]);
  await publisher.close();
});

// Everything that it can write: of the numbers the smallest type that holds them.
const HEADERS = {
  longstr: 'plain',
  unicode: 'żółw 🐢',
  'empty string': '',
  true: true,
  false: false,
  'int 8': -128,
  'int 16': -32768,
  'int 32': -(2 ** 31),
  'int 64': -(2 ** 40),
  double: Math.PI,
  void: null,
  table: { deep: { deeper: [1, { three: 3 }] }, empty: {} },
  array: [1, 2 ** 40, 'text', true, null, 1.5, [], ['nested']],
};

scenario('every_header_type_survives', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  await channel.basicPublish({ routingKey: queue, headers: HEADERS }, '');
  const { headers } = await channel.basicGet({ queue, noAck: true });
  assert.deepEqual(headers, HEADERS);
  assert.deepEqual(Object.keys(headers), Object.keys(HEADERS), 'order of the headers');
});

scenario('large_body_10_mib', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  const sent = randomBytes(10 * 1024 * 1024);
  await channel.basicPublish(queue, sent);
  const message = await channel.basicGet({ queue, noAck: true });
  assert.ok(message.body.equals(sent), 'the body came back changed');
});

// Its RPC client gets replies through amq.rabbitmq.reply-to.
scenario('direct_reply_to', async (broker) => {
  const queue = await broker.queue(await broker.channel());
  const replyTos = new Set();
  broker.connect().createConsumer({ queue }, async (request, reply) => {
    replyTos.add(request.replyTo);
    await reply(`${2 * Number(request.body)}`);
  });
  const rpc = broker.connect().createRPCClient({ confirm: true });
  const replies = await Promise.all([30, 5, 12].map((n) => rpc.send(queue, `${n}`)));
  assert.deepEqual(replies.map(body), ['60', '10', '24']);
  for (const replyTo of replyTos) assert.match(replyTo, /^amq\.rabbitmq\.reply-to\../);
  await rpc.close();
});
