const { assert, scenario, until } = require('../harness');

const look = (scene) => scene.page.getByRole('button', { name: 'Look', exact: true }).click();
const choose = (scene, position) => scene.page.getByLabel(`Choose message ${position}`, { exact: true }).check();

scenario('publish_peek_move_delete_and_purge', async (scene) => {
  const vhost = await scene.vhost();
  const [from, to] = [await scene.queue(vhost), await scene.queue(vhost)];
  await scene.login();
  await scene.go`queues/${vhost}/${from}`;
  const form = await scene.unfold('Publish a message');
  for (const body of ['first', '{"second":[2]}', 'third', 'fourth']) {
    await form.getByLabel('Payload', { exact: true }).fill(body);
    await form.getByLabel('Properties').fill('content_type = text/plain\npriority = 3');
    await form.getByLabel('Headers').fill('tenant = acme\nattempts = 2');
    await form.getByRole('button', { name: 'Publish' }).click();
    await scene.notice('Published.');
    await until(() => form.getByRole('button', { name: 'Publish' }).isEnabled(), 'the form is ready again');
  }
  await scene.untilReady(vhost, from, 4);

  await scene.unfold('Messages');
  await look(scene);
  const rows = scene.page.locator('details.row');
  await until(async () => (await rows.count()) === 4, 'four messages are shown');
  await rows.nth(1).locator('summary').click();
  const shown = await rows.nth(1).innerText();
  for (const part of ['"second": [', 'text/plain', 'acme', 'attempts']) assert.ok(shown.includes(part), `${part} in ${shown}`);
  await scene.page.getByLabel('Body contains').fill('third');
  await look(scene);
  await until(async () => (await rows.count()) === 1, 'one matches');
  await scene.page.getByLabel('Body contains').fill('');
  await look(scene);
  await until(async () => (await rows.count()) === 4, 'all are back');
  assert.equal((await scene.api('GET', `queues/${vhost}/${from}`)).messages_ready, 4, 'looking takes nothing');

  await choose(scene, 1);
  await choose(scene, 3);
  const actions = scene.page.locator('.actions');
  await actions.getByText('2 chosen').waitFor();
  await actions.getByLabel('Name').fill(to);
  await actions.getByRole('button', { name: 'Move', exact: true }).click();
  await scene.notice('2 moved.');
  await scene.untilReady(vhost, to, 2);

  await choose(scene, 2);
  await actions.getByRole('button', { name: 'Delete', exact: true }).click();
  await scene.answer('Delete them');
  await scene.notice('1 deleted.');
  await until(async () => (await rows.count()) === 1, 'one message is left');
  assert.match(await rows.innerText(), /fourth/);

  await scene.page.getByRole('button', { name: 'Purge' }).click();
  await scene.answer('Cancel');
  await scene.untilReady(vhost, from, 1);
  await scene.page.getByRole('button', { name: 'Purge' }).click();
  await scene.answer('Purge it');
  await scene.notice('It is empty.');
  await scene.untilReady(vhost, from, 0);
});

scenario('dead_letters_go_back_by_reason', async (scene) => {
  const vhost = await scene.vhost();
  const dead = await scene.queue(vhost);
  const toDead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead };
  const rejecting = await scene.queue(vhost, scene.name('rejecting'), { arguments: toDead });
  const short = await scene.queue(vhost, scene.name('short'), { arguments: { ...toDead, 'x-max-length': 1 } });
  for (const body of ['r1', 'r2']) await scene.publish(vhost, rejecting, body);
  for (const body of ['s1', 's2', 's3', 's4']) await scene.publish(vhost, short, body);
  const channel = await (await scene.connect(vhost)).createChannel();
  for (let taken = 0; taken < 2;) {
    const message = await channel.get(rejecting);
    if (message) {
      channel.nack(message, false, false);
      taken += 1;
    }
  }
  await scene.untilReady(vhost, dead, 5);

  await scene.login();
  await scene.go`queues/${vhost}/${dead}`;
  await scene.unfold('Messages');
  await scene.page.getByRole('button', { name: 'Count them' }).click();
  const group = (reason) => scene.row(reason).filter({ has: scene.page.getByRole('button', { name: 'Send back' }) });
  await group('maxlen').waitFor();
  assert.match(await group('maxlen').innerText(), new RegExp(`${short}\\s+3`));
  assert.match(await group('rejected').innerText(), new RegExp(`${rejecting}\\s+2`));
  await group('rejected').getByRole('button', { name: 'Send back' }).click();
  await scene.answer('Send them back');
  await scene.notice('2 moved.');
  await scene.untilReady(vhost, rejecting, 2);
  await scene.untilReady(vhost, dead, 3);
  await until(async () => (await group('rejected').count()) === 0, 'only what is left is counted');
});

scenario('move_everything', async (scene) => {
  const vhost = await scene.vhost();
  const [from, to] = [await scene.queue(vhost), await scene.queue(vhost)];
  for (let index = 0; index < 30; index += 1) await scene.publish(vhost, from, `${index}`);
  await scene.login();
  await scene.go`queues/${vhost}/${from}`;
  const messages = await scene.unfold('Messages');
  await look(scene);
  await until(async () => (await scene.page.locator('details.row').count()) === 20, 'a first part is shown');
  await scene.page.getByRole('button', { name: 'Show more' }).click();
  await until(async () => (await scene.page.locator('details.row').count()) === 30, 'the rest is shown');
  await messages.getByRole('button', { name: 'Move all' }).click();
  await scene.notice('Name the queue or the exchange first.');
  await messages.locator('form', { hasText: 'Move everything to' }).getByLabel('Name').fill(to);
  await messages.getByRole('button', { name: 'Move all' }).click();
  await scene.answer('Move them all');
  await scene.notice('30 moved.');
  await scene.untilReady(vhost, to, 30);
});
