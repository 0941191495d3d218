const { assert, drain, scenario } = require('../harness');

const KEYS = ['quick.orange.rabbit', 'lazy.orange.elephant', 'quick.orange.fox', 'lazy.brown.fox',
  'quick.brown.fox', 'lazy.orange.new.rabbit', 'orange', 'lazy', ''];

const MATCHES = {
  '*.orange.*': ['quick.orange.rabbit', 'lazy.orange.elephant', 'quick.orange.fox'],
  '*.*.rabbit': ['quick.orange.rabbit'],
  'lazy.#': ['lazy.orange.elephant', 'lazy.brown.fox', 'lazy.orange.new.rabbit', 'lazy'],
  '#': KEYS,
  '*': ['orange', 'lazy'],
  '#.fox': ['quick.orange.fox', 'lazy.brown.fox', 'quick.brown.fox'],
};

// `*` stands for exactly one word, `#` for any number of words.
scenario('tutorial_5_topics', async (broker) => {
  const channel = await broker.channel();
  const animals = await broker.exchange(channel, 'topic');
  const queues = new Map();
  for (const pattern of Object.keys(MATCHES)) {
    const queue = await broker.queue(channel);
    await channel.bindQueue(queue, animals, pattern);
    queues.set(pattern, queue);
  }
  for (const key of KEYS) channel.publish(animals, key, Buffer.from(key));
  for (const [pattern, queue] of queues) {
    const received = (await drain(channel, queue)).map((message) => message.fields.routingKey);
    assert.deepEqual(received, MATCHES[pattern], `keys matching ${pattern}`);
  }
});
