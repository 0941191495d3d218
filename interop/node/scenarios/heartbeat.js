const { assert, pause, scenario } = require('../harness');

// Idle for 8 s with heartbeat 2: a silent client would be dropped after 6, a silent server after 4.
scenario('idle_connection_is_kept_by_heartbeats', async (broker) => {
  const connection = await broker.connect({ search: '?heartbeat=2' });
  const channel = await broker.channel(connection);
  await pause(8000);
  assert.equal(connection.failure, undefined);
  await channel.assertQueue('', { exclusive: true });
});
