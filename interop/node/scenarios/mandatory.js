const { assert, body, drain, scenario } = require('../harness');

// Without a route, a mandatory message comes back whole, and only then is it confirmed.
scenario('mandatory_message_is_returned_before_its_ack', async (broker) => {
  const channel = await broker.channel(null, { confirm: true });
  const queue = await broker.queue(channel);
  const events = [];
  channel.on('return', ({ fields, properties, content }) => events.push(
    ['return', fields.replyCode, fields.replyText, fields.routingKey, properties.messageId, `${content}`]));
  const confirmed = (name) => (error) => events.push([name, error]);
  channel.publish('amq.direct', 'no such key', Buffer.from('stray'),
    { mandatory: true, messageId: 'm-1' }, confirmed('first'));
  channel.publish('', queue, Buffer.from('routed'), { mandatory: true }, confirmed('second'));
  await channel.waitForConfirms();
  assert.deepEqual(events, [
    ['return', 312, 'NO_ROUTE', 'no such key', 'm-1', 'stray'],
    ['first', null],
    ['second', null],
  ]);
  assert.deepEqual((await drain(channel, queue)).map(body), ['routed']);
});
