const { randomUUID } = require('node:crypto');
const { Inbox, assert, body, scenario, until } = require('../harness');

function fibonacci(n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

// Answer requests to the queue, to wherever their reply-to says.
async function serve(channel, queue) {
  await channel.prefetch(1);
  await channel.consume(queue, (request) => {
    const { replyTo, correlationId } = request.properties;
    channel.sendToQueue(replyTo, Buffer.from(`${fibonacci(Number(body(request)))}`), { correlationId });
    channel.ack(request);
  });
}

async function callAndCheck(client, requests, replyTo, replies) {
  const expected = {};
  for (const n of [20, 5, 12]) {
    const correlationId = randomUUID();
    expected[correlationId] = `${fibonacci(n)}`;
    client.sendToQueue(requests, Buffer.from(`${n}`), { replyTo, correlationId });
  }
  await until(() => replies.length === 3, 'all replies are here');
  const received = replies.messages.map((reply) => [reply.properties.correlationId, body(reply)]);
  assert.deepEqual(Object.fromEntries(received), expected);
}

// Requests carry reply-to and a correlation id; replies come to the client's own queue.
scenario('tutorial_6_rpc', async (broker) => {
  const server = await broker.channel();
  const client = await broker.channel();
  const requests = await broker.queue(server);
  await serve(server, requests);
  const { queue } = await client.assertQueue('', { exclusive: true });
  await callAndCheck(client, requests, queue, await Inbox.open(client, queue, { noAck: true }));
});

// Replies to `amq.rabbitmq.reply-to` come straight to the requesting channel, without a queue.
scenario('direct_reply_to', async (broker) => {
  const server = await broker.channel();
  const client = await broker.channel();
  const requests = await broker.queue(server);
  await serve(server, requests);
  const replies = await Inbox.open(client, 'amq.rabbitmq.reply-to', { noAck: true });
  await callAndCheck(client, requests, 'amq.rabbitmq.reply-to', replies);
  assert.match(replies.messages[0].fields.routingKey, /^amq\.rabbitmq\.reply-to\../);
});
