const { assert, scenario } = require('../harness');

const typed = (type, value) => ({ '!': type, value });

// Sent, and what amqplib makes of it on the way back.
const HEADERS = {
  longstr: ['plain', 'plain'],
  unicode: ['żółw 🐢', 'żółw 🐢'],
  'empty string': ['', ''],
  binary: [Buffer.from([0, 255, 254]), Buffer.from([0, 255, 254])],
  true: [true, true],
  false: [false, false],
  'int 8': [typed('int8', -128), -128],
  'uint 8': [typed('uint8', 255), 255],
  'int 16': [typed('int16', -32768), -32768],
  'uint 16': [typed('uint16', 65535), 65535],
  'int 32': [typed('int32', -(2 ** 31)), -(2 ** 31)],
  'uint 32': [typed('uint32', 2 ** 32 - 1), 2 ** 32 - 1],
  'int 64': [typed('int64', -(2 ** 40)), -(2 ** 40)],
  float: [typed('float', 1.5), 1.5],
  double: [typed('double', Math.PI), Math.PI],
  decimal: [typed('decimal', { places: 2, digits: 1234 }), typed('decimal', { places: 2, digits: 1234 })],
  timestamp: [typed('timestamp', 981173106), typed('timestamp', 981173106)],
  void: [null, null],
  table: [{ deep: { deeper: [1, { three: 3 }] }, empty: {} }, { deep: { deeper: [1, { three: 3 }] }, empty: {} }],
  array: [[1, 2 ** 40, 'text', true, null, 1.5, [], ['nested']], [1, 2 ** 40, 'text', true, null, 1.5, [], ['nested']]],
};

const SENT = Object.fromEntries(Object.entries(HEADERS).map(([name, [sent]]) => [name, sent]));
const EXPECTED = Object.fromEntries(Object.entries(HEADERS).map(([name, [, back]]) => [name, back]));

scenario('every_header_type_survives', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  channel.sendToQueue(queue, Buffer.alloc(0), { headers: SENT });
  const { headers } = (await channel.get(queue, { noAck: true })).properties;
  assert.deepEqual(headers, EXPECTED);
  assert.deepEqual(Object.keys(headers), Object.keys(EXPECTED), 'order of the headers');
});

scenario('arguments_of_every_type_are_accepted', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel, { arguments: SENT });
  await channel.bindQueue(queue, 'amq.headers', '', { 'x-match': 'all', ...SENT });
  channel.publish('amq.headers', '', Buffer.from('found'), { headers: SENT });
  assert.ok(await channel.get(queue, { noAck: true }), 'the message was not routed');
});

scenario('every_property_survives', async (broker) => {
  const channel = await broker.channel();
  const queue = await broker.queue(channel);
  const sent = {
    contentType: 'text/plain', contentEncoding: 'identity', headers: { a: 1 }, deliveryMode: 2, priority: 9,
    correlationId: 'correlation', replyTo: 'reply', expiration: '600000', messageId: 'message',
    timestamp: 1234567890, type: 'type', userId: new URL(broker.uri).username, appId: 'app',
  };
  channel.sendToQueue(queue, Buffer.from('body'), sent);
  const { properties } = await channel.get(queue, { noAck: true });
  for (const [name, value] of Object.entries(sent)) assert.deepEqual(properties[name], value, name);
});
