const fs = require('node:fs');
const { randomBytes } = require('node:crypto');
const { assert, body, needed, scenario, until } = require('../harness');

scenario('wrong_password_403', async (broker) => {
  const url = new URL(broker.url);
  url.password = 'wrong';
  const connection = broker.connect({ url: url.href });
  await until(() => connection.errors.length > 0, 'the login is refused');
  const [error] = connection.errors;
  assert.equal(error.code, 'ACCESS_REFUSED');
  assert.match(error.message, /ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN\. For details see the broker logfile\./);
});

scenario('messages_over_tls', async (broker) => {
  const [at, folder] = needed('AMQPS_URI', 'TLS_FOLDER');
  const { hostname, port } = new URL(at);
  const url = new URL(Object.assign(new URL(broker.url), { hostname, port }).href.replace('amqp:', 'amqps:')).href;
  const stranger = broker.connect({ url });
  await until(() => stranger.errors.length > 0, 'nobody vouches for the broker');
  assert.match(stranger.errors[0].code, /UNABLE_TO_|SELF_SIGNED_/);

  const channel = await broker.connect({ url, tls: { ca: fs.readFileSync(`${folder}/ca.pem`) } }).acquire();
  const queue = await broker.queue(channel);
  const sent = randomBytes(500_000);
  await channel.basicPublish(queue, sent);
  const message = await channel.basicGet({ queue, noAck: true });
  assert.ok(message.body.equals(sent), 'the body came back changed');
});

// Publishers and consumers come back by themselves.
scenario('reconnect_after_broker_restart', async (broker) => {
  const restart = broker.restartable();
  const connection = broker.connect();
  const queue = broker.name('queue');
  broker.queues.push(queue);
  const publisher = connection.createPublisher({ confirm: true, maxAttempts: 10, queues: [{ queue, durable: true }] });
  await publisher.send({ routingKey: queue, durable: true }, 'before');
  await restart();
  await until(() => connection.errors.length > 0, 'the connection is closed');
  assert.equal(connection.errors[0].code, 'CONNECTION_FORCED');

  const received = [];
  connection.createConsumer({ queue, queueOptions: { passive: true } }, (message) => { received.push(body(message)); });
  await publisher.send({ routingKey: queue, durable: true }, 'after');
  await until(() => received.length === 2, 'both are there');
  assert.deepEqual(received, ['before', 'after']);
});
