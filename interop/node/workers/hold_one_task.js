// A worker that takes one task, says so, and never acknowledges it. It waits to be killed.

const amqp = require('amqplib');

async function main(uri, queue) {
  const connection = await amqp.connect(uri);
  const channel = await connection.createChannel();
  await channel.prefetch(1);
  await channel.consume(queue, (message) => process.send({ holding: message.content.toString() }));
}

process.on('disconnect', () => process.exit(1));
main(...process.argv.slice(2));
