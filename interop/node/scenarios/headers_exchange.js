const { assert, body, drain, scenario } = require('../harness');

const BINDINGS = {
  all: { 'x-match': 'all', format: 'pdf', pages: 3 },
  any: { 'x-match': 'any', format: 'pdf', pages: 3 },
  'default is all': { format: 'pdf', pages: 3 },
  present: { 'x-match': 'all', format: null },
};

const MESSAGES = [
  ['both', { format: 'pdf', pages: 3, more: true }, ['all', 'any', 'default is all', 'present']],
  ['one', { format: 'pdf', pages: 4 }, ['any', 'present']],
  ['other value', { format: 'zip' }, ['present']],
  ['string is not a number', { pages: '3' }, []],
  ['wide number', { format: 'pdf', pages: { '!': 'int64', value: 3 } }, ['all', 'any', 'default is all', 'present']],
  ['no headers', {}, []],
];

scenario('headers_exchange_all_and_any', async (broker) => {
  const channel = await broker.channel();
  const exchange = await broker.exchange(channel, 'headers');
  const queues = new Map();
  for (const [name, args] of Object.entries(BINDINGS)) {
    const queue = await broker.queue(channel);
    await channel.bindQueue(queue, exchange, '', args);
    queues.set(name, queue);
  }
  for (const [text, headers] of MESSAGES) channel.publish(exchange, '', Buffer.from(text), { headers });
  for (const [name, queue] of queues) {
    const expected = MESSAGES.filter(([, , matches]) => matches.includes(name)).map(([text]) => text);
    assert.deepEqual((await drain(channel, queue)).map(body), expected, `messages for the binding '${name}'`);
  }
});
