const fs = require('node:fs');
const { randomBytes } = require('node:crypto');
const { assert, scenario, skip } = require('../harness');

scenario('messages_over_tls', async (broker) => {
  const { AMQPS_URI, TLS_FOLDER } = process.env;
  if (!AMQPS_URI || !TLS_FOLDER) {
    skip('it needs AMQPS_URI and TLS_FOLDER, a listener with TLS and the files of docs/tls.md');
  }
  const { hostname, port } = new URL(AMQPS_URI);
  const secure = { protocol: 'amqps:', hostname, port };
  await assert.rejects(broker.connect(secure), { code: /UNABLE_TO_|SELF_SIGNED_/ }, 'nobody vouches for the broker');

  const channel = await broker.channel(await broker.connect(secure, { ca: [fs.readFileSync(`${TLS_FOLDER}/ca.pem`)] }));
  const queue = await broker.queue(channel);
  const sent = randomBytes(500_000);
  channel.sendToQueue(queue, sent);
  assert.ok((await channel.get(queue, { noAck: true })).content.equals(sent), 'the body came back changed');
});
