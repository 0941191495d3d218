const { assert, scenario, until } = require('../harness');

scenario('connections_are_seen_and_closed', async (scene) => {
  const vhost = await scene.vhost();
  const queue = await scene.queue(vhost);
  const label = scene.name('worker');
  const connection = await scene.connect(vhost, label);
  const closed = new Promise((resolve) => connection.on('close', resolve));
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(7);
  await channel.consume(queue, () => {});
  await scene.publish(vhost, queue, 'held');

  await scene.login();
  await scene.go`channels`;
  const row = scene.row(vhost);
  await row.waitFor();
  await until(async () => /\b7\b/.test(await row.innerText()), 'the prefetch is shown');
  await row.getByRole('link').click();
  await scene.row(queue).waitFor();
  await scene.go`connections`;
  await scene.row(label).getByRole('link').click();
  await scene.page.getByRole('heading', { name: '->' }).waitFor();
  await scene.page.getByText(label).waitFor();
  await scene.row('(1)').waitFor();
  await scene.page.getByRole('button', { name: 'Close this connection' }).click();
  await scene.answer('Close it');
  await scene.page.getByRole('heading', { name: 'Connections' }).waitFor();
  assert.equal((await closed).code, 320);
  await until(async () => (await scene.row(label).count()) === 0, 'it is gone from the list');
});
