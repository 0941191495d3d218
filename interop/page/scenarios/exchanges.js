const { assert, scenario, until } = require('../harness');

scenario('exchanges_and_bindings', async (scene) => {
  const vhost = await scene.vhost();
  const queue = await scene.queue(vhost);
  const name = scene.name('topic');
  await scene.login();
  await scene.go`exchanges`;
  const add = await scene.unfold('Add an exchange');
  await add.getByLabel('Vhost').selectOption(vhost);
  await add.getByLabel('Name').fill(name);
  await add.getByLabel('Type').selectOption('topic');
  await add.getByRole('button', { name: 'Add exchange' }).click();
  await scene.notice('The exchange is there.');
  await scene.row(name).getByRole('link').click();
  await scene.page.getByRole('heading', { name }).waitFor();

  const bind = await scene.unfold('Add a binding');
  await bind.getByLabel('Name').fill(queue);
  await bind.getByLabel('Routing key').fill('a.#/b c');
  await bind.getByRole('button', { name: 'Bind' }).click();
  await scene.notice('Bound.');
  await scene.row('a.#/b c').waitFor();
  const publish = await scene.unfold('Publish a message');
  await publish.getByLabel('Routing key').fill('a.b/c.b c');
  await publish.getByRole('button', { name: 'Publish' }).click();
  await scene.notice('no queue took it');
  await publish.getByLabel('Routing key').fill('a.x.y');
  await publish.getByRole('button', { name: 'Publish' }).click();
  await scene.notice('no queue took it');

  await scene.row(queue).getByRole('link').click();
  await scene.page.getByRole('heading', { name: queue }).waitFor();
  await scene.row('a.#/b c').getByRole('button', { name: 'Unbind' }).click();
  await scene.answer('Remove it');
  await scene.notice('Removed.');
  await until(async () => (await scene.row('a.#/b c').count()) === 0, 'the binding is gone');
  const bindToHere = await scene.unfold('Add a binding');
  await bindToHere.getByLabel('From exchange').fill(name);
  await bindToHere.getByLabel('Routing key').fill('a.*');
  await bindToHere.getByRole('button', { name: 'Bind' }).click();
  await scene.row('a.*').getByRole('link').click();
  await scene.page.getByRole('heading', { name }).waitFor();
  const again = await scene.unfold('Publish a message');
  await again.getByLabel('Routing key').fill('a.b');
  await again.getByRole('button', { name: 'Publish' }).click();
  await scene.notice('Published.');
  await scene.untilReady(vhost, queue, 1);

  await scene.page.getByRole('button', { name: 'Delete this exchange' }).click();
  await scene.answer('Delete it');
  await scene.page.getByRole('heading', { name: 'Exchanges' }).waitFor();
  assert.equal(await scene.api('GET', `exchanges/${vhost}/${name}`), 404);
});
