const { assert, drain, scenario } = require('../harness');

function publish(channel, queue, text) {
  return new Promise((resolve, reject) => {
    channel.sendToQueue(queue, Buffer.from(text), { persistent: true },
      (error) => (error ? reject(error) : resolve()));
  });
}

// Each publish is awaited until the broker has confirmed it.
scenario('tutorial_7_confirms_one_by_one', async (broker) => {
  const channel = await broker.channel(null, { confirm: true });
  const queue = await broker.queue(channel, { durable: true });
  for (let n = 0; n < 20; n++) await publish(channel, queue, `${n}`);
  assert.equal((await drain(channel, queue)).length, 20);
});

// A batch is sent as a whole, then all its confirms are awaited.
scenario('tutorial_7_confirms_in_batches', async (broker) => {
  const channel = await broker.channel(null, { confirm: true });
  const queue = await broker.queue(channel, { durable: true });
  const texts = Array.from({ length: 1000 }, (_, n) => `${n}`);
  let confirmed = 0;
  for (const text of texts) publish(channel, queue, text).then(() => { confirmed += 1; });
  await channel.waitForConfirms();
  await Promise.resolve();
  assert.equal(confirmed, 1000);
  assert.deepEqual((await drain(channel, queue)).map((message) => message.content.toString()), texts);
});

// A full queue that rejects makes the broker nack.
scenario('full_queue_that_rejects_nacks_the_publish', async (broker) => {
  const channel = await broker.channel(null, { confirm: true });
  const queue = await broker.queue(channel, {
    arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' },
  });
  await publish(channel, queue, 'fits');
  await assert.rejects(publish(channel, queue, 'does not'), /nacked/);
});
