const { assert, scenario, until } = require('../harness');

// The heights of a chart's line, top last.
async function heights(page, title, line) {
  const points = await page.getByRole('figure').filter({ hasText: title }).locator(`polyline.${line}`).first().getAttribute('points');
  return (points ?? '').split(' ').filter(Boolean).map((point) => Number(point.split(',')[1]));
}

scenario('overview_draws_traffic_as_it_comes', async (scene) => {
  const vhost = await scene.vhost();
  const queue = await scene.queue(vhost);
  const connection = await scene.connect(vhost, 'traffic');
  const channel = await connection.createConfirmChannel();
  await scene.login();
  const rises = async (title, line) => new Set(await heights(scene.page, title, line)).size > 1;
  const publish = setInterval(() => { channel.sendToQueue(queue, Buffer.from('x')); }, 20);
  try {
    await until(() => rises('Message rates', 'c1'), 'the line of published messages leaves the ground');
    await until(() => rises('Queued messages', 'c3'), 'the line of queued messages leaves the ground');
  } finally {
    clearInterval(publish);
  }
  const legend = scene.page.getByRole('figure').filter({ hasText: 'Message rates' });
  assert.match(await legend.innerText(), /Publish[\s\S]*Deliver[\s\S]*Acknowledge/);
  const totals = await scene.page.locator('.totals').innerText();
  assert.match(totals, /[1-9][\d,]*\s+connections/);
  assert.match(totals, /[1-9][\d,]*\s+queues/);
  await scene.page.getByText('Memory alarm').waitFor();
  await scene.page.locator('.totals a', { hasText: 'queues' }).click();
  await scene.page.getByRole('heading', { name: 'Queues' }).waitFor();
});
