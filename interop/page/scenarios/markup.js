const { assert, scenario, until } = require('../harness');

const EVIL = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\'"><svg onload=window.hit=1>';

scenario('markup_in_names_and_bodies_is_text', async (scene) => {
  const e = encodeURIComponent;
  const vhost = await scene.vhost(`${scene.name('v')} ${EVIL}`);
  const queue = await scene.queue(vhost, EVIL);
  const user = await scene.user('administrator', `${scene.name('u')} ${EVIL}`);
  await scene.made('PUT', `exchanges/${e(vhost)}/${e(EVIL)}`, { type: 'topic', arguments: { [EVIL]: EVIL } });
  await scene.made('POST', `bindings/${e(vhost)}/e/${e(EVIL)}/q/${e(queue)}`, { routing_key: EVIL, arguments: { [EVIL]: EVIL } });
  await scene.made('PUT', `policies/${e(vhost)}/${e(EVIL)}`, { pattern: '^<img', definition: { 'dead-letter-routing-key': EVIL } });
  await scene.made('PUT', `permissions/${e(vhost)}/${e(user)}`, { configure: '<b>', write: '<b>', read: '<b>' });
  await scene.publish(vhost, queue, EVIL, { headers: { [EVIL]: EVIL }, content_type: EVIL, app_id: EVIL });
  const connection = await scene.connect(vhost, EVIL);
  const channel = await connection.createChannel();
  await channel.prefetch(1);
  await channel.consume(queue, () => {}, { consumerTag: EVIL, noAck: false });
  await scene.publish(vhost, queue, `{"json": ${JSON.stringify(EVIL)}}`);
  const own = () => scene.api('GET', `vhosts/${e(vhost)}/connections`);
  await until(async () => (await own()).length === 1, 'the connection is listed');
  const [{ name }] = await own();

  await scene.login();
  const shows = async (...where) => {
    await scene.page.goto(`${scene.base}#/${where.map(e).join('/')}`);
    await scene.page.getByText(EVIL).first().waitFor();
  };
  for (const where of [['connections'], ['connections', name], ['channels'], ['channels', `${name} (1)`], ['exchanges'], ['exchanges', vhost, EVIL],
    ['queues'], ['users'], ['users', user], ['vhosts'], ['vhosts', vhost], ['policies'], ['queues', vhost, EVIL]]) await shows(...where);
  await scene.unfold('Messages');
  await scene.page.getByRole('button', { name: 'Look', exact: true }).click();
  const row = scene.page.locator('details.row').first();
  await row.locator('summary').click();
  assert.ok((await row.locator('pre').innerText()).includes('"json": "<img src=x'));
  await scene.page.getByRole('button', { name: 'Delete this queue' }).click();
  await scene.page.getByRole('dialog').getByText(EVIL).waitFor();
  await scene.answer('Cancel');

  assert.equal(await scene.page.evaluate(() => window.hit), undefined, 'the script has run');
  assert.equal(await scene.page.locator('main img, main script').count(), 0);
});

scenario('the_page_may_not_be_framed_nor_run_scripts_of_others', async (scene) => {
  const answer = await fetch(scene.base);
  const policy = answer.headers.get('content-security-policy');
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]) assert.ok(policy.includes(part), policy);
  await scene.page.goto(scene.base);
  // The browser reports what it refuses.
  const refused = scene.page.waitForEvent('console', (message) => message.text().includes('Content Security Policy'));
  await scene.page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.hit = 1';
    document.body.append(script);
  });
  await refused;
  assert.equal(await scene.page.evaluate(() => window.hit), undefined);
  scene.noise = scene.noise.filter((line) => !line.includes('Content Security Policy'));
});
